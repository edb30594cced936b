"""Jobs whose files are not here yet: accepted by what the catalogue says, settled once they are downloaded.

Only entries of the catalogue are ever downloaded; a client names them, never an address.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from ecurie.adapter_stack import LoraBody, lora_of, pairs_of, refuse_too_many, weights_of
from ecurie.catalog.catalog import Catalog, Entry
from ecurie.catalog.sources import RemoteSource
from ecurie.domain import AdapterUse, GenerationRequest, Progress
from ecurie.errors import RequestError, WeightsMissing
from ecurie.requests.body import GenerateBody
from ecurie.requests.drawing import Drawn, draw, seed_of
from ecurie.requests.passes import settle_passes
from ecurie.requests.pictures import NO_PICTURES, PictureSource, keep_pictures
from ecurie.requests.placing import placed, sources_of
from ecurie.requests.references import defer_references, wanted_of
from ecurie.requests.resolve import as_asked, most_pixels, resolve_drawn, scheduler_of
from ecurie.requests.words import settle_unresolved, tags_of

if TYPE_CHECKING:
    from ecurie.catalog.downloads.downloader import Downloader

SDXL_SIZE = (1024, 1024)


def resolve_or_defer(
    body: GenerateBody, catalog: Catalog, max_pixels: int, pictures: PictureSource = NO_PICTURES
) -> GenerationRequest:
    """The request, settled; or unsettled where files have to be downloaded first.

    Raises what `resolve` raises; WeightsMissing only for what cannot be, or is not to be, downloaded.
    """
    drawn = draw(body, catalog)
    try:
        request = resolve_drawn(drawn.body, catalog, max_pixels, pictures)
    except WeightsMissing:
        if not missing_sources(drawn.body, catalog):
            raise
        request = _defer(drawn.body, catalog, max_pixels, pictures)
    return drawn.into(request)


def missing_sources(body: GenerateBody, catalog: Catalog) -> tuple[RemoteSource, ...]:
    """What has to be downloaded for a body that `draw` has made ready, once each.

    Raises UnknownAdapter for an unknown IP-Adapter.
    """
    entries: list[Entry] = [
        entry for lora in _loras(body) if (entry := catalog.adapter_entry(lora.name)) is not None
    ]
    if model := catalog.models().get(body.model or catalog.default_model):
        entries.insert(0, model)
    if ip_adapter := wanted_of(body).missing_entry(catalog):
        entries.append(ip_adapter)
    return tuple(dict.fromkeys(source for entry in entries for source in catalog.to_download(entry)))


def settle(
    request: GenerationRequest,
    catalog: Catalog,
    downloader: Downloader,
    max_pixels: int,
    listen: Callable[[Progress], None],
    pictures: PictureSource = NO_PICTURES,
) -> GenerationRequest:
    """Download what an unsettled request needs, then check it as any other.

    Raises what `Downloader.fetch` and `resolve_drawn` raise, or what `listen` raises to stop it.
    """
    body = GenerateBody.model_validate_json(request.unsettled)
    _fetch(missing_sources(body, catalog), request, downloader, listen)
    typed = Drawn(body, request.prompt_template, request.negative_template)
    return typed.into(resolve_drawn(body, catalog, max_pixels, pictures))


def place(
    request: GenerationRequest,
    catalog: Catalog,
    downloader: Downloader,
    listen: Callable[[Progress], None],
) -> GenerationRequest:
    """A settled request as it is on this machine, where its files lie elsewhere or nowhere yet.

    Raises what `Downloader.fetch` and `placed` raise, or what `listen` raises to stop it.
    """
    _fetch(sources_of(request, catalog), request, downloader, listen)
    return placed(request, catalog)


def _fetch(
    sources: Sequence[RemoteSource],
    request: GenerationRequest,
    downloader: Downloader,
    listen: Callable[[Progress], None],
) -> None:
    total = request.total_steps
    downloader.fetch(sources, lambda done, size: listen(Progress("downloading", 0, total, done, size)))


def _loras(body: GenerateBody) -> Iterator[LoraBody]:
    yield from body.loras
    yield from (lora_of(tag) for tag in tags_of(body)[1])


def _defer(
    body: GenerateBody, catalog: Catalog, max_pixels: int, pictures: PictureSource
) -> GenerationRequest:
    """Everything that the catalogue alone can tell is checked and filled in; the seed is drawn now.

    The body that is kept names its pictures by their ids.
    """
    model_id = body.model or catalog.default_model
    entry = catalog.models()[model_id]
    body = keep_pictures(body, pictures.find)
    most = most_pixels(entry, max_pixels)
    passes = settle_passes(body, model_id, entry.size or SDXL_SIZE, most, pictures)
    looked = defer_references(wanted_of(body), catalog, pictures)
    negative = entry.default_negative if body.negative_prompt is None else body.negative_prompt
    prompt_syntax, negative_syntax = settle_unresolved(body, negative.strip())
    seed = seed_of(body)
    fixed = {
        "seed": seed,
        "model": model_id,
        "ip_adapter": looked.adapter and looked.adapter.name,
        "reference_images": [picture.id for picture in looked.references],
    }
    return GenerationRequest(
        **as_asked(body),
        final_prompt=body.prompt,
        negative_prompt=negative,
        prompt_syntax=prompt_syntax,
        negative_syntax=negative_syntax,
        model=model_id,
        model_path="",
        adapters=tuple(_deferred_adapters(body, catalog)),
        seed=seed,
        width=passes.width,
        height=passes.height,
        scheduler=scheduler_of(body, entry),
        clip_skip=body.clip_skip or entry.clip_skip,
        unsettled=body.model_copy(update=fixed).model_dump_json(),
        init=passes.init,
        hires=passes.hires,
        ip_strength=looked.strength,
        ip_adapter=looked.adapter,
        references=looked.references,
    )


def _deferred_adapters(body: GenerateBody, catalog: Catalog) -> Iterator[AdapterUse]:
    """Raises UnknownAdapter, or WeightsMissing for a file that cannot be downloaded."""
    loras = list(_loras(body))
    refuse_too_many(len(loras))
    for number, lora in enumerate(loras):
        in_prompt = number >= len(body.loras)
        try:
            entry = catalog.usable_adapter(lora.name)
        except RequestError as error:
            error.field = "prompt" if in_prompt else f"loras.{number}"
            raise
        unet, text_encoder = weights_of(lora, entry)
        yield AdapterUse(
            name=lora.name,
            file="",
            sha256="",
            auto_v3="",
            unet=unet,
            text_encoder=text_encoder,
            blocks=pairs_of(lora.blocks),
            strict=lora.strict,
            in_prompt=in_prompt,
        )
