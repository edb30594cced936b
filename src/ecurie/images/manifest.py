"""The manifest of an image: everything that made it, and nothing that differs when it is made again.

It is derived from the types of `domain`, so a new field of a request is in it from the start. Left out is
where files are (their hashes stand instead), when they were written, and what belongs to a job of several
images. `docs/replay.md` describes the JSON.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import TypeAdapter, ValidationError

from ecurie.domain import Difference, GenerationRequest, Setup
from ecurie.errors import ManifestInvalid
from ecurie.mistakes import first_mistake

MANIFEST_VERSION = 1
MAX_MANIFEST_BYTES = 1_000_000
LEFT_OUT = frozenset({"model_path", "vae_path", "base_path", "num_images", "unsettled", "original"})
"""Fields of a request that belong to this machine or to a job."""
# Of what a request uses: a place, and its file's time.
PLACES = frozenset({"file", "stamp"})
REQUEST = TypeAdapter(GenerationRequest)


@dataclass(frozen=True, slots=True)
class Manifest:
    """`request` has the fields of GenerationRequest without LEFT_OUT, its seed that of the one image."""

    manifest_version: int
    request: dict[str, Any]
    setup: Setup

    def to_json(self) -> str:
        return json.dumps(dataclasses.asdict(self), ensure_ascii=False)


MANIFEST = TypeAdapter(Manifest)


def manifest_of(request: GenerationRequest, index: int, setup: Setup) -> Manifest:
    """The manifest of image `index` of a request, as if it had been asked for alone."""
    # Through JSON, so that one request has one manifest, whether it comes from a client or the job table.
    fields = REQUEST.dump_python(request, mode="json")
    kept = {name: _without_places(value) for name, value in fields.items() if name not in LEFT_OUT}
    return Manifest(MANIFEST_VERSION, kept | {"seed": request.seed_of(index)}, setup)


def _without_places(value: Any) -> Any:
    """Whatever has a hash is found by it; a place beside a hash says nothing on another machine."""
    if isinstance(value, dict):
        return {name: _without_places(held) for name, held in value.items() if not is_place(name, value)}
    if isinstance(value, list):
        return [_without_places(held) for held in value]
    return value


def is_place(name: str, held: Mapping[str, Any]) -> bool:
    """Whether a field is a place: `file`, `stamp`, or X beside X_sha256."""
    return name in PLACES or f"{name}_sha256" in held


def read_manifest(text: str | bytes) -> Manifest:
    """Raises ManifestInvalid for what is no manifest, or one of another version."""
    if len(text) > MAX_MANIFEST_BYTES:
        raise ManifestInvalid(f"the manifest is larger than {MAX_MANIFEST_BYTES:,} bytes")
    try:
        content = json.loads(text)
        # A half of a surrogate pair can be neither stored nor written.
        json.dumps(content, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        raise ManifestInvalid("the manifest holds half of a UTF-16 surrogate pair") from error
    except (ValueError, RecursionError) as error:
        raise ManifestInvalid(f"the manifest is no JSON: {error}") from error
    _refuse_other_versions(content)
    try:
        return MANIFEST.validate_python(content)
    except (ValidationError, RecursionError) as error:
        raise ManifestInvalid(f"the manifest is not whole: {_first_mistake(error)}") from error


def _refuse_other_versions(content: Any) -> None:
    version = content.get("manifest_version") if isinstance(content, dict) else None
    if version == MANIFEST_VERSION:
        return
    if isinstance(version, int) and version > MANIFEST_VERSION:
        raise ManifestInvalid(
            f"the manifest has version {version}; this Écurie reads version {MANIFEST_VERSION}",
            remedy="replay it with a newer Écurie",
        )
    if version is None and isinstance(content, dict) and {"request", "setup"} <= content.keys():
        raise ManifestInvalid(
            "the image was made before manifests had a version, and lacks the hashes of the model's files",
            remedy="make it anew: `ecurie show` prints what was asked for",
        )
    raise ManifestInvalid(
        "this is no manifest of Écurie", remedy="`ecurie show --json` prints that of an image"
    )


def request_of(manifest: Manifest) -> GenerationRequest:
    """The request of a manifest, its places empty. Raises ManifestInvalid naming the wrong field."""
    fields = dict(manifest.request)
    known = {field.name for field in dataclasses.fields(GenerationRequest)} - LEFT_OUT
    if unknown := sorted(fields.keys() - known):
        raise ManifestInvalid(
            f"the manifest has fields that are not known here: {', '.join(unknown)[:200]}",
            remedy="replay it with the Écurie that made it, or a newer one",
        )
    try:
        return REQUEST.validate_python(_with_empty_places(fields) | {"model_path": "", "num_images": 1})
    except (ValidationError, RecursionError) as error:
        raise ManifestInvalid(f"the manifest's request is wrong: {_first_mistake(error)}") from error


def _with_empty_places(value: Any) -> Any:
    """Beside every hash a place that is not known yet; what names a place itself is not believed."""
    if isinstance(value, dict):
        kept = {name: _with_empty_places(held) for name, held in value.items() if not is_place(name, value)}
        hashes = [name for name in kept if name.endswith("_sha256") and name != CONFIG_HASH]
        empty = {name.removesuffix("_sha256"): "" for name in hashes}
        return kept | empty | ({"file": ""} if "sha256" in kept else {})
    if isinstance(value, list):
        return [_with_empty_places(held) for held in value]
    return value


# Of a file that lies beside the adapter's.
CONFIG_HASH = "config_sha256"


def _first_mistake(error: ValidationError | RecursionError) -> str:
    if isinstance(error, RecursionError):
        return "it is nested too deeply"
    return ": ".join(first_mistake(error))


def differences(then: Manifest, now: Manifest) -> tuple[Difference, ...]:
    """What is not as it was, by dotted path, such as `setup.versions.torch`."""
    before, after = (dict(_flat(dataclasses.asdict(one))) for one in (then, now))
    names = [*before, *(name for name in after if name not in before)]
    return tuple(
        Difference(name, before.get(name), after.get(name))
        for name in names
        if before.get(name) != after.get(name)
    )


def _flat(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(value, dict):
        for name, held in value.items():
            yield from _flat(held, f"{path}.{name}" if path else name)
    elif isinstance(value, (list, tuple)):
        for number, held in enumerate(value):
            label = (held.get("part") or held.get("name") or number) if isinstance(held, dict) else number
            yield from _flat(held, f"{path}.{label}")
    else:
        yield path, str(value)
