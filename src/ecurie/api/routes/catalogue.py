"""What a request may name: models, adapters, schedulers."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Response

from ecurie.api import lora_schemas, schemas
from ecurie.api.deps import ServiceDep
from ecurie.catalog.ip_adapters import ip_adapter_availability
from ecurie.catalog.schedulers import SCHEDULERS

router = APIRouter()


@router.get("/models")
def list_models(service: ServiceDep) -> schemas.ModelsOut:
    catalog = service.catalog
    default = catalog.default_model
    return schemas.ModelsOut(
        models=[
            schemas.ModelOut(
                id=model_id,
                name=entry.name,
                default=model_id == default,
                default_negative=entry.default_negative,
                prompt_prefix=entry.prompt_prefix,
                size=entry.size,
                clip_skip=entry.clip_skip,
                supported_loras=list(entry.supported_loras),
                license=entry.license,
                downloaded=not catalog.to_download(entry),
                unavailable=catalog.availability(model_id),
            )
            for model_id, entry in catalog.models().items()
        ]
    )


@router.get("/loras")
def list_loras(service: ServiceDep) -> schemas.LorasOut:
    """The adapters that a request may name."""
    catalog = service.catalog
    return schemas.LorasOut(
        loras=[
            schemas.LoraOut(
                id=adapter_id,
                name=entry.name,
                kind=entry.kind,
                default_weight=entry.default_weight,
                trigger_words=list(entry.trigger_words),
                license=entry.license,
                downloaded=not catalog.to_download(entry),
                unavailable=catalog.adapter_availability(adapter_id),
            )
            for adapter_id, entry in catalog.adapters().items()
        ]
    )


@router.get("/loras/{adapter_id}")
def get_lora(
    adapter_id: Annotated[str, Path(description="An id of `GET /loras`.", examples=["cyberpunk-style"])],
    service: ServiceDep,
) -> lora_schemas.LoraDetailOut:
    """What an adapter's file tells of itself, and whether it fits the default model."""
    return lora_schemas.lora_detail_out(service.adapter(adapter_id))


@router.get(
    "/loras/{adapter_id}/thumbnail",
    response_class=Response,
    responses={200: {"content": {"image/webp": {}}}, 204: {"description": "It has none"}},
)
def get_lora_thumbnail(adapter_id: str, service: ServiceDep) -> Response:
    """A small picture of what an adapter does: of its metadata (`modelspec.thumbnail`), or of a file beside
    it (`name.preview.png`, `name.png`, …)."""
    picture = service.thumbnail(adapter_id)
    headers = {"cache-control": "private, max-age=300"}
    if picture is None:
        return Response(status_code=204, headers=headers)
    return Response(picture, media_type="image/webp", headers=headers)


@router.get("/ip-adapters")
def list_ip_adapters(service: ServiceDep) -> schemas.IpAdaptersOut:
    """The IP-Adapters that a request may name; the first that fits its model is the default."""
    catalog = service.catalog
    return schemas.IpAdaptersOut(
        ip_adapters=[
            schemas.IpAdapterOut(
                id=name,
                name=entry.name,
                license=entry.license,
                downloaded=not catalog.to_download(entry),
                unavailable=ip_adapter_availability(catalog, name),
            )
            for name, entry in catalog.ip_adapters().items()
        ]
    )


@router.get("/presets")
def list_presets(service: ServiceDep) -> schemas.PresetsOut:
    """Settings that a request may name by `preset`; null: left to the request."""
    return schemas.PresetsOut(
        presets=[
            schemas.PresetOut(
                id=preset_id,
                name=entry.name,
                steps=entry.steps,
                guidance_scale=entry.guidance_scale,
                scheduler=entry.scheduler,
                loras=[lora.model_dump(exclude_none=True) for lora in entry.adapters],
            )
            for preset_id, entry in service.catalog.presets().items()
        ]
    )


@router.get("/schedulers")
def list_schedulers() -> schemas.SchedulersOut:
    return schemas.SchedulersOut(
        schedulers=[
            schemas.SchedulerOut(id=entry.id, label=entry.label, max_steps=entry.max_steps)
            for entry in SCHEDULERS
        ]
    )
