"""How far Écurie's pictures are from diffusers', as a Markdown table: `make parity-table`.

Each number is the greatest difference of a channel, of 255, over the pictures of the demo model that a
scheduler makes: from words, from a picture, inside a mask, and with a reference picture.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import Any

import diffusers
import numpy as np
import torch
from diffusers import (
    StableDiffusionXLImg2ImgPipeline,
    StableDiffusionXLInpaintPipeline,
    StableDiffusionXLPipeline,
)
from diffusers.image_processor import VaeImageProcessor
from PIL import Image, ImageDraw
from transformers import CLIPVisionModelWithProjection

from ecurie.catalog.catalog import BUILTIN, Catalog
from ecurie.catalog.sources import DEMO_MODELS
from ecurie.engine.devices import choose_compute
from ecurie.engine.engine import Engine
from ecurie.engine.residency import Budgets
from ecurie.images.files import OutputFolder
from ecurie.images.storage import LocalFolder
from ecurie.images.uploads import UploadLimits
from ecurie.requests.body import GenerateBody
from ecurie.requests.pictures import PictureSource, picture_at
from ecurie.requests.resolve import resolve

MODEL, IP_ADAPTER = DEMO_MODELS / "sdxl-base", DEMO_MODELS / "ip-adapter"
START = Path("tests/data/emoji/red-apple.png")
STEPS, STRENGTH, BLUR, REFERENCE_STRENGTH, SIDE = 4, 0.6, 3.0, 0.8, 64
COMMON: dict[str, Any] = {"prompt": "cat face", "guidance_scale": 5.0}

# Written down apart from the product's table, from diffusers' documentation of each name.
ORACLES: dict[str, tuple[str, dict[str, Any]]] = {
    "default": ("EulerDiscreteScheduler", {}),
    "euler": ("EulerDiscreteScheduler", {}),
    "euler-karras": ("EulerDiscreteScheduler", {"use_karras_sigmas": True}),
    "euler-trailing": ("EulerDiscreteScheduler", {"timestep_spacing": "trailing"}),
    "euler-a": ("EulerAncestralDiscreteScheduler", {}),
    "heun": ("HeunDiscreteScheduler", {}),
    "lms": ("LMSDiscreteScheduler", {}),
    "lms-karras": ("LMSDiscreteScheduler", {"use_karras_sigmas": True}),
    "dpm2": ("KDPM2DiscreteScheduler", {}),
    "dpm2-karras": ("KDPM2DiscreteScheduler", {"use_karras_sigmas": True}),
    "dpm2-a": ("KDPM2AncestralDiscreteScheduler", {}),
    "dpm2-a-karras": ("KDPM2AncestralDiscreteScheduler", {"use_karras_sigmas": True}),
    "dpmpp-2m": ("DPMSolverMultistepScheduler", {}),
    "dpmpp-2m-karras": ("DPMSolverMultistepScheduler", {"use_karras_sigmas": True}),
    "dpmpp-2m-sde": ("DPMSolverMultistepScheduler", {"algorithm_type": "sde-dpmsolver++"}),
    "dpmpp-2m-sde-karras": (
        "DPMSolverMultistepScheduler",
        {"algorithm_type": "sde-dpmsolver++", "use_karras_sigmas": True},
    ),
    "dpmpp-2m-sde-exponential": (
        "DPMSolverMultistepScheduler",
        {"algorithm_type": "sde-dpmsolver++", "use_exponential_sigmas": True},
    ),
    "dpmpp-sde": ("DPMSolverSDEScheduler", {"noise_sampler_seed": 7}),
    "dpmpp-sde-karras": ("DPMSolverSDEScheduler", {"noise_sampler_seed": 7, "use_karras_sigmas": True}),
    "ddim": ("DDIMScheduler", {}),
    "ddpm": ("DDPMScheduler", {}),
    "deis": ("DEISMultistepScheduler", {}),
    "unipc": ("UniPCMultistepScheduler", {}),
    "pndm": ("PNDMScheduler", {}),
    "lcm": ("LCMScheduler", {}),
    "tcd": ("TCDScheduler", {}),
}


def scheduler_of(name: str, **changes: Any) -> Any:
    """diffusers' own, with the demo model's published configuration and these changes to it."""
    kind, own = ORACLES[name]
    published = StableDiffusionXLPipeline.load_config(MODEL)["scheduler"]
    config = getattr(diffusers, published[1]).load_config(MODEL, subfolder="scheduler")
    return getattr(diffusers, kind).from_config(config, **own | changes)


@dataclass(frozen=True)
class Task:
    """A column: the fields of our request, diffusers' pipeline and its options."""

    fields: dict[str, Any]
    pipeline: Any
    options: dict[str, Any]


def tasks(folder: Path) -> dict[str, Task]:
    """`folder` gets the mask."""
    start = Image.open(START).convert("RGB")
    mask = Image.new("L", start.size)
    ImageDraw.Draw(mask).ellipse((12, 20, 50, 60), fill="white")
    mask.save(folder / "mask.png")
    soft = VaeImageProcessor.blur(mask, BLUR)
    ours = {"init_image": str(START), "strength": STRENGTH}
    theirs = {"image": start, "strength": STRENGTH}
    size = {"width": SIDE, "height": SIDE}
    masked = {"mask": str(folder / "mask.png"), "mask_blur": BLUR}
    looked = {"reference_images": [str(START)], "ip_strength": REFERENCE_STRENGTH}
    return {
        "text to image": Task({}, StableDiffusionXLPipeline, size),
        "image to image": Task(ours, StableDiffusionXLImg2ImgPipeline, theirs),
        "inpainting": Task(
            ours | masked, StableDiffusionXLInpaintPipeline, theirs | size | {"mask_image": soft}
        ),
        "IP-Adapter": Task(looked, StableDiffusionXLPipeline, size | {"ip_adapter_image": start}),
    }


class Ours:
    def __init__(self, folder: Path) -> None:
        self._engine = Engine(choose_compute("cpu"), Budgets(10**12, 0, models=1))
        self._catalog = Catalog(BUILTIN["demo"], folder)
        self._outputs = OutputFolder(LocalFolder(folder), "parity", datetime.now(UTC), "picture.png")
        self._pictures = PictureSource(partial(picture_at, limits=UploadLimits(10**9, 10**9)))

    def draw(self, task: Task, scheduler: str) -> Image.Image:
        fields = COMMON | task.fields | {"scheduler": scheduler}
        body = GenerateBody(negative_prompt="", seed=7, steps=STEPS, **fields)
        request = resolve(body, self._catalog, 10**9, self._pictures)
        (image,) = self._engine.run(request, self._outputs, lambda _progress: None).images
        return Image.open(self._outputs.storage.folder / image.filename).convert("RGB")


class Theirs:
    def __init__(self) -> None:
        self._parts = StableDiffusionXLPipeline.from_pretrained(
            MODEL,
            image_encoder=CLIPVisionModelWithProjection.from_pretrained(
                IP_ADAPTER / "image_encoder", dtype=torch.float32
            ),
            torch_dtype=torch.float32,
            add_watermarker=False,
        )

    def draw(self, task: Task, scheduler: str) -> Image.Image:
        parts = self._parts.components | {"scheduler": scheduler_of(scheduler)}
        pipeline = task.pipeline(**parts, add_watermarker=False)
        pipeline.set_progress_bar_config(disable=True)
        looked = "ip_adapter_image" in task.options
        if looked:
            name = "ip-adapter_sdxl.safetensors"
            pipeline.load_ip_adapter(
                str(IP_ADAPTER), subfolder="", weight_name=name, image_encoder_folder=None
            )
            pipeline.set_ip_adapter_scale(REFERENCE_STRENGTH)
        generator = torch.Generator("cpu").manual_seed(7)
        options = COMMON | {"num_inference_steps": STEPS, "generator": generator} | task.options
        (drawn,) = pipeline(**options).images
        if looked:
            pipeline.unload_ip_adapter()
            self._parts.register_modules(image_encoder=parts["image_encoder"])
        soft = task.options.get("mask_image")
        # What it does to keep the pixels outside of the mask, as its documentation advises.
        return (
            drawn if soft is None else VaeImageProcessor().apply_overlay(soft, task.options["image"], drawn)
        )


def rows(schedulers: Sequence[str], folder: Path) -> Iterator[tuple[str, list[int]]]:
    """Scheduler, and the greatest difference by task."""
    ours, theirs, columns = Ours(folder), Theirs(), tasks(folder)
    for name in schedulers:
        found = []
        for task in columns.values():
            one, other = (np.asarray(side.draw(task, name)).astype(int) for side in (ours, theirs))
            found.append(int(np.abs(one - other).max()))
        yield name, found


def main() -> None:
    diffusers.utils.logging.disable_progress_bar()
    diffusers.utils.logging.set_verbosity_error()
    with tempfile.TemporaryDirectory() as scratch:
        columns = ["scheduler", *tasks(Path(scratch))]
        print(f"| {' | '.join(columns)} |")
        print(f"|{'---|' * len(columns)}")
        for name, found in rows(list(ORACLES), Path(scratch)):
            print(f"| {name} | {' | '.join(map(str, found))} |", flush=True)
    versions = ", ".join(f"{name} {metadata.version(name)}" for name in ("diffusers", "torch"))
    print(f"\nOracle: {versions}; {STEPS} steps, {SIDE}×{SIDE}, float32 on the CPU.")


if __name__ == "__main__":
    main()
