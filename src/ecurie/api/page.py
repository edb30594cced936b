"""The page for people: its files, as they lie in `ecurie/web`.

Every file but the first lies below a path that holds the version of all of them, so a browser asks for each
once, and never mixes two releases. They are read at the first request, 0.3 MB in all.
"""

from __future__ import annotations

import gzip
import hashlib
import posixpath
import re
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

import ecurie

router = APIRouter(include_in_schema=False)

FOLDER = Path(__file__).parents[1] / "web"
INDEX, ENTRY = "index.html", "app.js"
MEDIA_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
    ".woff2": "font/woff2",
    ".txt": "text/plain; charset=utf-8",
}
PACKED_ALREADY = frozenset({".woff2"})
POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "font-src 'self'",
        "img-src 'self' blob: data:",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
        "trusted-types 'none'",
    )
)
"""Nothing from elsewhere, nothing inline, and no text can become markup."""
FOR_EVER = "public, max-age=31536000, immutable"
STATIC_IMPORT = re.compile(r"""\bfrom ?['"](\.[^'"]+)['"]""")


@dataclass(frozen=True, slots=True)
class WebFile:
    """`packed` by gzip, for those that gain by it."""

    media_type: str
    content: bytes
    packed: bytes | None

    @classmethod
    def of(cls, content: bytes, suffix: str) -> WebFile:
        packed = None if suffix in PACKED_ALREADY else gzip.compress(content, mtime=0)
        return cls(MEDIA_TYPES[suffix], content, packed)

    def answer(self, request: Request, headers: dict[str, str]) -> Response:
        takes_gzip = re.search(r"\bgzip\b", request.headers.get("accept-encoding", ""))
        if self.packed is None or not takes_gzip:
            return Response(self.content, headers=headers, media_type=self.media_type)
        headers = headers | {"content-encoding": "gzip"}
        return Response(self.packed, headers=headers, media_type=self.media_type)


@lru_cache(maxsize=1)
def web_files() -> dict[str, WebFile]:
    """By their names in URLs. Only these are served."""
    found = sorted(file for file in FOLDER.rglob("*") if file.suffix in MEDIA_TYPES)
    return {file.relative_to(FOLDER).as_posix(): WebFile.of(file.read_bytes(), file.suffix) for file in found}


@lru_cache(maxsize=1)
def version() -> str:
    """Another one when any file is; the same on every machine."""
    digest = hashlib.sha256()
    for name, file in web_files().items():
        digest.update(f"{name} {len(file.content)}\n".encode() + file.content)
    return digest.hexdigest()[:12]


def first_modules() -> list[str]:
    """What the page's first module imports, what that imports, and so on."""
    found = [ENTRY]
    for name in found:
        folder = posixpath.dirname(name)
        for path in STATIC_IMPORT.findall(web_files()[name].content.decode()):
            wanted = posixpath.normpath(posixpath.join(folder, path))
            if wanted not in found:
                found.append(wanted)
    return found


@lru_cache(maxsize=1)
def index_file() -> WebFile:
    """The browser is told of all modules at once, instead of finding them one in the other."""
    base = f"/web/{version()}"
    preload = (f'<link rel="modulepreload" href="{base}/{name}">' for name in first_modules())
    text = web_files()[INDEX].content.decode().replace("{modules}", "\n    ".join(preload))
    return WebFile.of(text.replace("{web}", base).encode(), ".html")


@router.get("/")
def index(request: Request) -> Response:
    """The page for browsers, which say `text/html`; other clients are told what this is."""
    vary = {"vary": "accept, accept-encoding"}
    if "text/html" not in request.headers.get("accept", ""):
        about = {"name": "Écurie", "version": ecurie.__version__, "openapi": "/openapi.json"}
        return JSONResponse(about, headers=vary)
    headers = vary | {
        "etag": f'"{version()}"',
        "cache-control": "no-cache",
        "content-security-policy": POLICY,
        "cross-origin-opener-policy": "same-origin",
    }
    if request.headers.get("if-none-match") == headers["etag"]:
        return Response(status_code=304, headers=headers)
    return index_file().answer(request, headers)


@router.get("/web/{asked_version}/{name:path}")
def web_file(asked_version: str, name: str, request: Request) -> Response:
    """A file of the page. One opened before an update gets what is there now, and does not keep it."""
    file = web_files().get(name)
    if file is None:
        raise HTTPException(404)
    kept = FOR_EVER if asked_version == version() else "no-store"
    return file.answer(request, {"cache-control": kept, "vary": "accept-encoding"})
