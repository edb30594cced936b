"""What clients of AUTOMATIC1111's web UI may choose from, and what they ask to see that it is there."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request

from ecurie.api.a1111 import listing
from ecurie.api.a1111.errors import RESPONSES
from ecurie.api.a1111.hires import UPSCALERS
from ecurie.api.a1111.routes import TAG
from ecurie.api.deps import AdminDep, ServiceDep
from ecurie.catalog.checkpoint_names import list_checkpoints

router = APIRouter(tags=[TAG], responses=RESPONSES)


@router.get("/sdapi/v1/sd-models")
def sd_models(service: ServiceDep) -> list[listing.CheckpointOut]:
    """The default model first. A title has a hash once it is known, which the first job sees to."""
    return [listing.checkpoint_out(name) for name in list_checkpoints(service.catalog)]


@router.get("/sdapi/v1/samplers")
def samplers() -> list[listing.SamplerOut]:
    return listing.samplers_out()


@router.get("/sdapi/v1/schedulers")
def schedulers() -> list[listing.ScheduleOut]:
    return listing.schedules_out()


@router.get("/sdapi/v1/upscalers")
def upscalers() -> list[listing.UpscalerOut]:
    """Those of the second pass that enlarge pixels."""
    return [listing.UpscalerOut(name=name) for name in ("None", "Lanczos")]


@router.get("/sdapi/v1/latent-upscale-modes")
def latent_upscale_modes() -> list[listing.NameOut]:
    return [listing.NameOut(name=name) for name, ours in UPSCALERS.items() if ours == "latent"]


@router.get("/sdapi/v1/loras")
def loras(service: ServiceDep) -> list[listing.LoraOut]:
    return listing.loras_out(service.catalog)


@router.get("/sdapi/v1/embeddings")
def embeddings(service: ServiceDep) -> listing.EmbeddingsOut:
    return listing.embeddings_out(service.catalog)


@router.get("/sdapi/v1/sd-vae")
@router.get("/sdapi/v1/sd-modules")
@router.get("/sdapi/v1/hypernetworks")
@router.get("/sdapi/v1/prompt-styles")
@router.get("/sdapi/v1/face-restorers")
@router.get("/sdapi/v1/realesrgan-models")
@router.get("/sdapi/v1/script-info")
@router.get("/sdapi/v1/extensions")
def nothing() -> list[dict[str, Any]]:
    """There is nothing of the kind to choose from. A model's VAE is said by the catalogue."""
    return []


@router.get("/sdapi/v1/scripts")
def scripts() -> listing.ScriptsOut:
    """There are none."""
    return listing.ScriptsOut()


@router.post("/sdapi/v1/refresh-checkpoints")
@router.post("/sdapi/v1/refresh-loras")
@router.post("/sdapi/v1/refresh-vae")
@router.post("/sdapi/v1/refresh-embeddings")
def refresh() -> None:
    """Nothing to do: the catalogue and its folders are followed."""


@router.get("/sdapi/v1/memory")
def memory(_admin: AdminDep) -> listing.MemoryOut:
    """For admins: it tells of the machine."""
    return listing.memory_out()


@router.get("/sdapi/v1/cmd-flags")
def cmd_flags() -> dict[str, Any]:
    """Clients look whether the API is on."""
    return {"api": True}


@router.get("/internal/ping")
def ping() -> dict[str, Any]:
    return {}


@router.get("/app_id")
async def app_id(request: Request) -> dict[str, int]:
    """Another number after each start of the server."""
    return {"app_id": request.app.state.app_id}
