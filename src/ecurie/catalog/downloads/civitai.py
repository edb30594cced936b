"""What a version of a model on Civitai holds, by its API: GET /api/v1/model-versions/{id}."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from ecurie.catalog.downloads.http import Http
from ecurie.catalog.downloads.plan import Plan, RemoteFile, refuse_pickle
from ecurie.catalog.sources import CivitaiSource, place_of
from ecurie.errors import DownloadFailed

SIGN_IN = "make an API key in your Civitai account, then set ECURIE_CIVITAI_TOKEN to it"
MAX_WORDS = 20


def plan_civitai(
    source: CivitaiSource, models_dir: Path, http: Http, *, endpoint: str, token: str | None
) -> Plan:
    """Raises DownloadFailed, or InvalidRequest for a version that is published as a pickle only."""
    what = f"version {source.version} on Civitai"
    answer = http.json(what, f"{endpoint}/api/v1/model-versions/{source.version}", token, SIGN_IN)
    try:
        found = _choose([file for file in answer["files"] if isinstance(file, dict)], source, what)
        name, url = str(found["name"]), str(found["downloadUrl"])
        sha256 = str(found["hashes"]["SHA256"]).lower()
        kilobytes = float(found.get("sizeKB") or 0) * 1024
    except (KeyError, TypeError, ValueError) as error:
        raise DownloadFailed(
            f"Civitai's answer about {what} lacks {error}",
            remedy="its page may say why",
        ) from error
    refuse_pickle(name, what)
    place = place_of(source, models_dir)
    # The token is for Civitai itself, wherever its answer says the file lies.
    own = urlsplit(url).netloc == urlsplit(endpoint).netloc
    file = RemoteFile(
        name=f"{name} ({what})",
        url=url,
        place=place,
        bytes=int(kilobytes) if kilobytes >= 1 and kilobytes.is_integer() else None,
        sha256=sha256,
        token=token if own else None,
        sign_in=SIGN_IN,
    )
    return Plan(
        source=f"civitai:{source.version}" + (f"+{source.file}" if source.file else ""),
        place=place,
        files=(file,),
        name=_name(answer, name),
        trigger_words=_words(answer),
        base=str(answer.get("baseModel") or ""),
    )


def _choose(files: list[dict[str, Any]], source: CivitaiSource, what: str) -> dict[str, Any]:
    """The file that is asked for, else the primary one; of several, one that is no pickle."""
    if source.file is not None:
        found = [file for file in files if file.get("id") == source.file]
    else:
        models = [file for file in files if file.get("type", "Model") in ("Model", "Pruned Model")]
        safe = [file for file in models if str(file.get("name", "")).endswith(".safetensors")]
        found = sorted(safe or models, key=lambda file: not file.get("primary"))
    if not found:
        raise DownloadFailed(
            f"{what} has no {'file ' + str(source.file) if source.file else 'model file'}",
            remedy="its page lists its files",
        )
    return found[0]


def _name(answer: dict[str, Any], file: str) -> str:
    model = answer.get("model")
    names = (model.get("name") if isinstance(model, dict) else None, answer.get("name"))
    return " ".join(str(name) for name in names if name) or Path(file).stem


def _words(answer: dict[str, Any]) -> tuple[str, ...]:
    """`trainedWords`: each may hold several with commas between them."""
    given = answer.get("trainedWords")
    texts = [text for text in given if isinstance(text, str)] if isinstance(given, list) else []
    words = (" ".join(word.split()) for text in texts for word in text.split(","))
    return tuple(dict.fromkeys(word for word in words if word and word.isprintable()))[:MAX_WORDS]
