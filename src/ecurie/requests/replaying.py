"""From a manifest back to a request with nothing left open: values checked, files found by their hashes.

What the manifest says is taken as it is (final prompt, triggers, weights), not settled anew, so that an
edited catalogue changes nothing.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from itertools import chain
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from ecurie.adapter_stack import plain_text, refuse_two_of_one_name
from ecurie.catalog.catalog import Catalog, FoundAdapter, FoundModel
from ecurie.domain import AdapterUse, EmbeddingUse, GenerationRequest, IpAdapterUse, Original, PictureUse
from ecurie.errors import InvalidRequest, ManifestInvalid
from ecurie.formats.adapter_file import read_adapter
from ecurie.formats.embedding_file import read_embedding
from ecurie.formats.embedding_names import NameMarks
from ecurie.formats.hashes import auto_v3_of
from ecurie.formats.safetensors_file import is_settled
from ecurie.images.incoming import ReadPicture, read_here
from ecurie.images.manifest import Manifest, read_manifest, request_of
from ecurie.images.reading import read_text
from ecurie.mistakes import first_mistake
from ecurie.requests.body import MAX_PROMPT, GenerateBody
from ecurie.requests.describe import describe, describe_adapter
from ecurie.requests.finding import FindUsed, find_adapter, find_embedding, find_ip_adapter, find_model
from ecurie.requests.passes import settle_passes
from ecurie.requests.pictures import PictureSource
from ecurie.requests.resolve import most_pixels, scheduler_of
from ecurie.requests.words import refuse_unreadable

IMAGE_STARTS = (b"\x89PNG", b"RIFF", b"\xff\xd8")


def is_image(content: bytes) -> bool:
    """Told from the bytes, since what a client says of them need not be so."""
    return content.startswith(IMAGE_STARTS)


def manifest_in(content: bytes) -> Manifest:
    """That of an image, or the JSON itself. Raises ManifestInvalid, or InvalidRequest for a damaged image."""
    if not is_image(content):
        return read_manifest(content)
    text = read_text(content)
    if text.manifest is not None:
        return read_manifest(text.manifest)
    if text.parameters is not None:
        raise ManifestInvalid(
            "the image has A1111's parameters, but no manifest of Écurie; only images of Écurie are replayed",
            remedy="`ecurie show` prints what was asked for: ask for it with `POST /generate`",
        )
    raise ManifestInvalid(
        "the image does not tell how it was made",
        remedy="send the file as it was written: other programs, chats and web pages strip what is in it",
    )


def replay(
    manifest: Manifest,
    original: PictureUse | None,
    catalog: Catalog,
    find_picture: FindUsed,
    max_pixels: int,
    read_picture: ReadPicture = read_here,
    *,
    anywhere: bool = False,
) -> GenerationRequest:
    """The request that makes the manifest's image again, on its own, to be compared with `original`.

    `anywhere`: also with files that are in no catalogue, as the command line uses them.

    Raises ManifestInvalid, InvalidRequest for values that no client may send, WeightsMissing for files that
    are not here, or what `read_adapter` raises.
    """
    bare = request_of(manifest)
    if not any(file.part == "unet" for file in manifest.setup.files):
        raise ManifestInvalid("the manifest does not name the files of its model", field="setup.files")
    body = _checked_body(bare)
    found = find_model(bare.model, manifest.setup.files, catalog, anywhere=anywhere)
    placed: GenerationRequest = _with_pictures(bare, find_picture)
    _refuse_too_much(body, placed, found, max_pixels, read_picture)
    uses = tuple(_adapter(use, find_adapter(use, catalog, anywhere=anywhere), found) for use in bare.adapters)
    refuse_two_of_one_name(uses)
    embeddings = tuple(_embedding(use, find_embedding(use, catalog), found) for use in bare.embeddings)
    _refuse_unreadable(bare, uses, embeddings)
    return dataclasses.replace(
        placed,
        model=found.id,
        model_path=str(found.files.main),
        vae_path=str(found.files.vae) if found.files.vae else None,
        base_path=str(found.files.base) if found.files.base else None,
        adapters=uses,
        ip_adapter=bare.ip_adapter and find_ip_adapter(bare.ip_adapter, catalog, found.checkpoint.inventory),
        embeddings=embeddings,
        original=Original(manifest.to_json(), original),
    )


def _checked_body(bare: GenerationRequest) -> GenerateBody:
    """The manifest's values within the limits that every client's have. Adapters of tags are checked too."""
    loras = [describe_adapter(use) for use in bare.adapters]
    try:
        body = GenerateBody.model_validate(describe(bare) | {"loras": loras})
        for text in (bare.final_prompt, bare.tagged_prompt, bare.prompt_template, bare.negative_template):
            plain_text(text)
    except ValidationError as error:
        name, reason = first_mistake(error)
        raise InvalidRequest(f"the manifest's {name}: {reason}", field=f"request.{name}") from error
    except ValueError as error:
        raise InvalidRequest(f"the manifest's final prompt {error}", field="request.final_prompt") from error
    return body


def _refuse_too_much(
    body: GenerateBody, request: GenerationRequest, found: FoundModel, max_pixels: int, read: ReadPicture
) -> None:
    """The body names its pictures by their ids."""
    scheduler_of(body, found.entry)
    by_id = {use.id: use for use in request.pictures}
    most = most_pixels(found.entry, max_pixels)
    pictures = PictureSource(lambda picture_id, _field: by_id[picture_id], read=read)
    settle_passes(body, found.id, found.size, most, pictures)
    if request.clip_skip > found.checkpoint.text_layers:
        raise InvalidRequest(
            f"clip_skip {request.clip_skip} is more than the model has layers", field="clip_skip"
        )
    # Prefix and trigger words come on top of what a client may send.
    texts = request.final_prompt, request.tagged_prompt, request.prompt_template, request.negative_template
    if max(map(len, texts)) > 4 * MAX_PROMPT:
        raise InvalidRequest("the manifest's final prompt is too long", field="request.final_prompt")


def _adapter(use: AdapterUse, found: FoundAdapter, model: FoundModel) -> AdapterUse:
    """The use with its file, checked against the model as at any submit."""
    described = read_adapter(found.file, model.checkpoint.inventory, strict=use.strict)
    return dataclasses.replace(
        use,
        name=found.id,
        file=str(found.file),
        auto_v3=auto_v3_of(found.file),
        stamp=described.stamp if is_settled(described.stamp) else None,
        embeddings=tuple(embedding.name for embedding in described.embeddings),
    )


def _embedding(use: EmbeddingUse, file: Path, model: FoundModel) -> EmbeddingUse:
    """The use with its file, under the name that the prompt says."""
    vectors = read_embedding(file, model.checkpoint.inventory).vectors
    return dataclasses.replace(use, file=str(file), auto_v3=auto_v3_of(file), vectors=vectors)


def _refuse_unreadable(
    request: GenerationRequest, uses: Sequence[AdapterUse], embeddings: Sequence[EmbeddingUse]
) -> None:
    """Raises InvalidRequest for prompts that their syntaxes do not have, or two embeddings of one name."""
    own = [use.name.casefold() for use in embeddings]
    if len(set(own)) < len(own):
        raise InvalidRequest("the manifest has two embeddings of one name", field="request.embeddings")
    brought = chain.from_iterable(use.embeddings for use in uses if use.active)
    texts = {"final_prompt": request.final_prompt, "negative_prompt": request.negative_prompt}
    marks = NameMarks([*(use.name for use in embeddings), *brought], list(texts.values()))
    refuse_unreadable(texts, (request.prompt_syntax, request.negative_syntax), marks)


def _with_pictures(value: Any, find: FindUsed) -> Any:
    """The same value, with the place of every picture that it holds. Adapters and embeddings are placed by
    themselves; of another kind of file nobody would know where it is."""
    if isinstance(value, AdapterUse | EmbeddingUse | IpAdapterUse):
        return value
    if isinstance(value, PictureUse):
        return find(value)
    if getattr(value, "file", None) == "":
        raise ManifestInvalid(f"a file of the kind {type(value).__name__} cannot be found again")
    if isinstance(value, tuple):
        return tuple(_with_pictures(held, find) for held in value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        held = {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
        return dataclasses.replace(value, **{name: _with_pictures(one, find) for name, one in held.items()})
    return value
