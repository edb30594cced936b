"""The page for people: its files, as they lie in `ecurie/web`.

Every file but the first lies below a path that holds the version of all of them, so a browser asks for each once,
and never mixes two releases.
"""

from __future__ import annotations

import gzip
import hashlib
import re
from pathlib import Path

from fastapi import APIRouter, Request, Response
from starlette.exceptions import HTTPException

import ecurie

router = APIRouter(include_in_schema=False)

FOLDER = Path(__file__).parents[1] / "web"
MEDIA_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
    ".woff2": "font/woff2",
    ".txt": "text/plain; charset=utf-8",
}
PACKED = frozenset({".woff2"})
POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "font-src 'self'",
        "img-src 'self' blob: data:",
        "connect-src 'self'",
        "manifest-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
        "trusted-types 'none'",
    )
)
"""Nothing from elsewhere, nothing inline, and no text can become markup."""
FOR_EVER = "public, max-age=31536000, immutable"


def web_files(folder: Path = FOLDER) -> dict[str, Path]:
    """By their names in URLs. Only these are served."""
    files = (file for file in folder.rglob("*") if file.suffix in MEDIA_TYPES)
    return {file.relative_to(folder).as_posix(): file for file in files}


def version_of(files: dict[str, Path]) -> str:
    """Another one when any file is."""
    states = ((name, file.stat().st_mtime_ns, file.stat().st_size) for name, file in sorted(files.items()))
    return hashlib.sha256(repr([ecurie.__version__, *states]).encode()).hexdigest()[:12]


@router.get("/")
def index(request: Request) -> Response:
    """The page for browsers; who asks for JSON is told what this is."""
    if not _wants_page(request.headers.get("accept", "")):
        return Response(
            f'{{"name":"Écurie","version":"{ecurie.__version__}","openapi":"/openapi.json"}}',
            media_type="application/json",
            headers={"vary": "accept"},
        )
    version = version_of(web_files())
    headers = {"etag": f'"{version}"', "cache-control": "no-cache", "vary": "accept, accept-encoding"}
    if request.headers.get("if-none-match") == headers["etag"]:
        return Response(status_code=304, headers=headers)
    text = (FOLDER / "index.html").read_text(encoding="utf-8")
    headers |= {"content-security-policy": POLICY, "cross-origin-opener-policy": "same-origin"}
    return _packed(text.replace("{web}", f"/web/{version}").encode(), ".html", headers, request)


@router.get("/web/{version}/{name:path}")
def web_file(version: str, name: str, request: Request) -> Response:
    """A file of the page. A page that was opened before an update gets what is there now, but does not keep it."""
    files = web_files()
    if name not in files:
        raise HTTPException(404)
    current = version == version_of(files)
    headers = {"cache-control": FOR_EVER if current else "no-store", "vary": "accept-encoding"}
    return _packed(files[name].read_bytes(), files[name].suffix, headers, request)


def _wants_page(accept: str) -> bool:
    """Browsers say `text/html`; clients of the interface `*/*` or JSON."""
    return "text/html" in accept


def _packed(content: bytes, suffix: str, headers: dict[str, str], request: Request) -> Response:
    if suffix not in PACKED and re.search(r"\bgzip\b", request.headers.get("accept-encoding", "")):
        content, headers = gzip.compress(content, mtime=0), headers | {"content-encoding": "gzip"}
    return Response(content, headers=headers, media_type=MEDIA_TYPES[suffix])
