"""IP-Adapters for the tests: the bundled plain one, and a plus one with a small random resampler."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from ecurie.catalog.catalog import Catalog
from ecurie.catalog.sources import DEMO_MODELS
from ecurie.domain import GenerationRequest, PictureUse
from ecurie.images.uploads import UploadLimits
from ecurie.requests.body import GenerateBody
from ecurie.requests.pictures import PictureSource, picture_at
from ecurie.requests.resolve import resolve
from tests.conftest import DEMO_FOLDER

FOLDER = DEMO_MODELS / "ip-adapter"
PLAIN, ENCODER = FOLDER / "ip-adapter_sdxl.safetensors", FOLDER / "image_encoder"
DRAWINGS = Path(__file__).parents[1] / "data" / "emoji"
HIDDEN, INNER, CROSS, TOKENS = 96, 32, 64, 5


def plus_tensors() -> dict[str, Tensor]:
    """The plain one's keys and values behind a resampler of the published layout."""
    generator = torch.Generator().manual_seed(3)

    def random(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator) * (shape[-1] ** -0.5 if len(shape) > 1 else 0.1)

    tensors = {key: value for key, value in load_file(PLAIN).items() if key.startswith("ip_adapter.")}
    projection = {"latents": random(1, TOKENS, INNER), "norm_out.weight": 1 + random(CROSS)}
    projection |= {"proj_in.weight": random(INNER, HIDDEN), "proj_in.bias": random(INNER)}
    projection |= {"proj_out.weight": random(CROSS, INNER), "proj_out.bias": random(CROSS)}
    projection["norm_out.bias"] = random(CROSS)
    for number in range(4):
        layer = {f"{norm}.weight": 1 + random(INNER) for norm in ("0.norm1", "0.norm2", "1.0")}
        layer |= {f"{norm}.bias": random(INNER) for norm in ("0.norm1", "0.norm2", "1.0")}
        layer |= {"0.to_q.weight": random(64, INNER), "0.to_kv.weight": random(128, INNER)}
        layer |= {"0.to_out.weight": random(INNER, 64), "1.1.weight": random(4 * INNER, INNER)}
        layer["1.3.weight"] = random(INNER, 4 * INNER)
        projection |= {f"layers.{number}.{key}": tensor for key, tensor in layer.items()}
    return tensors | {f"image_proj.{key}": tensor.half() for key, tensor in projection.items()}


def catalog_with(folder: Path, **ip_adapters: Path) -> Catalog:
    """The demo base, another name for it, and these IP-Adapters."""
    lines = ["defaults: {model: base}", "models:"]
    lines += [f"  {name}: {{name: B, source: {DEMO_FOLDER}}}" for name in ("base", "other")]
    lines.append("ip_adapters:")
    lines += [
        f"  {name}: {{name: N, source: {file}, image_encoder: {ENCODER}}}"
        for name, file in ip_adapters.items()
    ]
    (folder / "ecurie.yaml").write_text("\n".join(lines))
    return Catalog(folder / "ecurie.yaml", folder / "models")


def drawing(name: str) -> PictureUse:
    return picture_at(str(DRAWINGS / f"{name}.png"), "reference_images", UploadLimits(10**9, 10**9))


def find_drawing(text: str, _field: str) -> PictureUse:
    return drawing(text)


DRAWN = PictureSource(find_drawing)


def request_with(catalog: Catalog, *references: str, **fields: object) -> GenerationRequest:
    settings = {"prompt": "cat face", "seed": 7, "steps": 4, "guidance_scale": 5.0, "negative_prompt": ""}
    body = GenerateBody.model_validate({**settings, "reference_images": list(references), **fields})
    return resolve(body, catalog, 10**9, DRAWN)


def save_plus(file: Path) -> Path:
    save_file(plus_tensors(), file)
    return file
