"""From a client's body to a checked request: model found, defaults filled in, seed drawn."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ecurie.adapter_stack import FindAdapter
from ecurie.catalog.catalog import Catalog, FoundAdapter, FoundModel, adapter_of_file
from ecurie.catalog.entries import ModelEntry
from ecurie.catalog.prediction import settle_prediction
from ecurie.catalog.schedulers import MODEL_DEFAULT, find_scheduler
from ecurie.domain import GenerationRequest
from ecurie.errors import InvalidRequest, UnknownModel
from ecurie.requests.body import GenerateBody
from ecurie.requests.drawing import draw, seed_of
from ecurie.requests.passes import settle_passes
from ecurie.requests.pictures import NO_PICTURES, PictureSource
from ecurie.requests.references import Settled, settle_references, wanted_of
from ecurie.requests.words import settle_words

AS_ASKED = (
    *("prompt", "wildcards", "steps", "guidance_scale", "num_images", "prompt_prefix", "inject_triggers"),
    *("preset", "accelerate", "format", "quality", "metadata"),
)
"""Fields of a body that a request takes over as they are."""


def resolve(
    body: GenerateBody, catalog: Catalog, max_pixels: int, pictures: PictureSource = NO_PICTURES
) -> GenerationRequest:
    """Find the model, check what depends on it, fill in every default and draw wildcards and the seed.

    Raises UnknownPreset, and what `resolve_drawn` raises.
    """
    drawn = draw(body, catalog)
    return drawn.into(resolve_drawn(drawn.body, catalog, max_pixels, pictures))


def resolve_drawn(
    body: GenerateBody, catalog: Catalog, max_pixels: int, pictures: PictureSource
) -> GenerationRequest:
    """The request of a body that `draw` has made ready.

    Raises UnknownModel, UnknownAdapter, WeightsMissing, WeightsInvalid, InvalidRequest, NotBuiltYet, or what
    `pictures` raise.
    """
    found = catalog.find(body.model or catalog.default_model)
    return _settled(body, catalog, found, catalog.find_adapter, max_pixels, pictures)


def resolve_for_cli(
    body: GenerateBody, catalog: Catalog, max_pixels: int, pictures: PictureSource = NO_PICTURES
) -> GenerationRequest:
    """Like `resolve_drawn`, but `model` may also be the path of a diffusers folder or single file, an adapter
    that of a file."""

    def find_adapter(name: str) -> FoundAdapter:
        if name not in catalog.adapters() and Path(name).expanduser().is_file():
            return adapter_of_file(Path(name))
        return catalog.find_adapter(name)

    return _settled(body, catalog, _model_of_cli(body.model, catalog), find_adapter, max_pixels, pictures)


def _model_of_cli(model: str | None, catalog: Catalog) -> FoundModel:
    if model and model not in catalog.models() and Path(model).expanduser().exists():
        return catalog.find_path(Path(model))
    try:
        return catalog.find(model or catalog.default_model)
    except UnknownModel as error:
        raise UnknownModel(f"{error}, nor a folder or file of that name", remedy=error.remedy) from None


def as_asked(body: GenerateBody) -> dict[str, Any]:
    return {field: getattr(body, field) for field in AS_ASKED}


def _settled(
    body: GenerateBody,
    catalog: Catalog,
    found: FoundModel,
    find_adapter: FindAdapter,
    max_pixels: int,
    pictures: PictureSource,
) -> GenerationRequest:
    entry, checkpoint = found.entry, found.checkpoint
    scheduler = scheduler_of(body, entry)
    clip_skip = body.clip_skip or entry.clip_skip
    if clip_skip > checkpoint.text_layers:
        raise InvalidRequest(
            f"clip_skip {clip_skip} is more than {found.id}'s {checkpoint.text_layers} text layers",
            field="clip_skip",
        )
    prediction = settle_prediction(
        checkpoint.parts.scheduler_config, entry, body.prediction_type, body.zero_snr, body.guidance_rescale
    )
    words = settle_words(body, find_adapter, found, catalog.embedding_files())
    passes = settle_passes(body, found.id, found.size, most_pixels(entry, max_pixels), pictures)
    looked = settle_references(wanted_of(body), catalog, checkpoint.inventory, pictures)
    _refuse_cut_guidance(body, looked)
    return GenerationRequest(
        **as_asked(body),
        final_prompt=words.final,
        negative_prompt=words.negative,
        prompt_syntax=words.syntaxes[0],
        negative_syntax=words.syntaxes[1],
        embeddings=words.embeddings,
        model=found.id,
        model_path=str(found.files.main),
        vae_path=str(found.files.vae) if found.files.vae else None,
        base_path=str(found.files.base) if found.files.base else None,
        adapters=words.uses,
        seed=seed_of(body),
        width=passes.width,
        height=passes.height,
        scheduler=scheduler,
        clip_skip=clip_skip,
        tagged_prompt=words.tagged,
        prediction_type=prediction.type,
        zero_snr=prediction.zero_snr,
        guidance_rescale=prediction.guidance_rescale,
        init=passes.init,
        hires=passes.hires,
        ip_strength=looked.strength,
        ip_adapter=looked.adapter,
        references=looked.references,
    )


def _refuse_cut_guidance(body: GenerateBody, looked: Settled) -> None:
    if looked.adapter and body.accelerate == "guidance-cutoff":
        raise InvalidRequest(
            "guidance-cutoff cannot be used with reference pictures: diffusers guides by them in every step",
            field="accelerate",
            remedy="leave 'accelerate' out, or use attention-cache",
        )


def scheduler_of(body: GenerateBody, entry: ModelEntry) -> str:
    """Raises InvalidRequest for one that is not known or takes fewer steps."""
    scheduler = find_scheduler(
        entry.scheduler if body.scheduler == MODEL_DEFAULT and entry.scheduler else body.scheduler
    )
    for field, steps in (("steps", body.steps), ("hires.steps", body.hires and body.hires.steps)):
        if steps and steps > scheduler.max_steps:
            raise InvalidRequest(
                f"scheduler {scheduler.id} takes at most {scheduler.max_steps} steps, not {steps}",
                field=field,
            )
    return scheduler.id


def most_pixels(entry: ModelEntry, max_pixels: int) -> int:
    return min(max_pixels, entry.max_pixels or max_pixels)
