"""Train the demo IP-Adapter on the demo base: `python -m demo.train_ip_adapter` (half an hour on one core).

The UNet stays frozen. A tiny CLIP vision encoder, the projection to image tokens and the key and value layers
for them learn together, from scratch. The files are laid out as the published ones for SDXL are.
"""

from __future__ import annotations

import argparse
import random
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from diffusers import StableDiffusionXLPipeline
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional
from transformers import CLIPImageProcessor, CLIPVisionConfig, CLIPVisionModelWithProjection

from demo import emoji, networks
from demo.references import make_pairs
from demo.train import Run, Schedule, denoising_loss, encode
from demo.train_adapters import BASE, latents_of

BATCH, PEAK, FLAT_SHARE = 16, 1e-3, 0.7
READOUT_WEIGHT, READOUT_SIDE = 0.2, 8
IMAGE_TOKENS, EMBED_WIDTH, TOKEN_WIDTH = 4, 128, 2 * networks.TEXT_WIDTH
OUTPUT = Path("src/ecurie/demo_models/ip-adapter")
FILE = "ip-adapter_sdxl.safetensors"
Tensors = dict[str, Tensor]


def make_image_encoder() -> CLIPVisionModelWithProjection:
    """A CLIP vision transformer of 64 patches: 3×64×64 normalised pixels to 128 values."""
    return CLIPVisionModelWithProjection(
        CLIPVisionConfig(
            hidden_size=96,
            intermediate_size=384,
            projection_dim=EMBED_WIDTH,
            num_hidden_layers=4,
            num_attention_heads=4,
            image_size=networks.IMAGE_SIZE,
            patch_size=8,
            hidden_act="gelu",
        )
    )


def first_state(unet: nn.Module) -> dict[str, Tensors]:
    """An untrained IP-Adapter in the published layout; keys and values start as those for the words, as its
    authors start them (Ye et al. 2023, arXiv:2308.06721)."""
    proj, norm = nn.Linear(EMBED_WIDTH, IMAGE_TOKENS * TOKEN_WIDTH), nn.LayerNorm(TOKEN_WIDTH)
    layers = {}
    for index, name in enumerate(unet.attn_processors):
        if name.endswith("attn2.processor"):
            attention = unet.get_submodule(name.removesuffix(".processor"))
            layers[f"{index}.to_k_ip.weight"] = attention.to_k.weight.detach().clone()
            layers[f"{index}.to_v_ip.weight"] = attention.to_v.weight.detach().clone()
    image_proj = {f"proj.{key}": tensor for key, tensor in proj.state_dict().items()}
    return {
        "image_proj": image_proj | {f"norm.{key}": tensor for key, tensor in norm.state_dict().items()},
        "ip_adapter": layers,
    }


@dataclass(frozen=True)
class Parts:
    """What is trained. `readout` is thrown away: it makes the encoder see shape and colour from the start."""

    image_encoder: CLIPVisionModelWithProjection
    projection: nn.Module
    attention: nn.ModuleDict
    readout: nn.Linear

    def tensors(self) -> Tensors:
        """The adapter's file: `image_proj.*` and `ip_adapter.N.*`."""
        (layer,) = self.projection.image_projection_layers
        names = {"image_embeds": "proj", "norm": "norm"}
        states = {
            f"image_proj.{names[n]}.{k}": t for n in names for k, t in getattr(layer, n).state_dict().items()
        }
        for index, processor in self.attention.items():
            for key, tensor in processor.state_dict().items():
                states[f"ip_adapter.{index}.{key.replace('.0.', '.')}"] = tensor
        return states


def attach(unet: nn.Module) -> Parts:
    unet._load_ip_adapter_weights([first_state(unet)])
    processors = {
        str(index): processor
        for index, processor in enumerate(unet.attn_processors.values())
        if isinstance(processor, nn.Module)
    }
    readout = nn.Linear(EMBED_WIDTH, 3 * READOUT_SIDE**2)
    parts = Parts(make_image_encoder(), unet.encoder_hid_proj, nn.ModuleDict(processors), readout)
    for module in (parts.projection, parts.attention):
        module.requires_grad_(True)
    return parts


def normalised(images: Tensor) -> Tensor:
    """From [-1, 1] to what CLIP's image processor gives."""
    processor = CLIPImageProcessor()
    mean, std = (
        torch.tensor(values)[:, None, None] for values in (processor.image_mean, processor.image_std)
    )
    return ((images + 1) / 2 - mean) / std


def train(drawings: emoji.Drawings, base: Path, work: Path, steps: int, seed: int) -> Parts:
    torch.manual_seed(seed)
    pipeline: Any = StableDiffusionXLPipeline.from_pretrained(base, torch_dtype=torch.float32)
    for module in (pipeline.unet, pipeline.vae, pipeline.text_encoder, pipeline.text_encoder_2):
        module.requires_grad_(False)
    parts = attach(pipeline.unet)
    trained: list[nn.Module] = [parts.image_encoder, parts.projection, parts.attention, parts.readout]
    run = Run("ip-adapter", work, trained, Schedule(PEAK, (steps,), FLAT_SHARE))
    encoders = (pipeline.text_encoder, pipeline.text_encoder_2)
    tokenizers = (pipeline.tokenizer, pipeline.tokenizer_2)

    def loss_at(generator: torch.Generator, dice: random.Random) -> Tensor:
        chosen, other = torch.randint(len(drawings.names), (2, BATCH), generator=generator).tolist()
        pairs = make_pairs(drawings, chosen, other, dice.getrandbits(48))
        worded = torch.tensor([bool(caption) for caption in pairs.captions])
        with torch.no_grad():
            latents = latents_of(pipeline.vae, pairs.targets)
            embeds, pooled = encode(pairs.captions, tokenizers, encoders)
        seen = parts.image_encoder(normalised(pairs.references)).image_embeds
        small = functional.adaptive_avg_pool2d(pairs.references, READOUT_SIDE).flatten(1)
        image = {"image_embeds": [(seen * pairs.kept[:, None])[:, None]]}
        loss = denoising_loss(
            pipeline.unet, latents, embeds * worded[:, None, None], pooled * worded[:, None], generator, image
        )
        return loss + READOUT_WEIGHT * functional.mse_loss(parts.readout(seen), small)

    run.train(seed, loss_at)
    run.use_average()
    return parts


def save(parts: Parts, output: Path) -> None:
    """Write the adapter and its image encoder, in fp16."""
    parts.image_encoder.half().save_pretrained(output / "image_encoder")
    half = {key: tensor.detach().half().contiguous() for key, tensor in parts.tensors().items()}
    metadata = {
        "modelspec.title": "Demo IP-Adapter",
        "modelspec.architecture": "stable-diffusion-xl-v1-base/ip-adapter",
        "modelspec.license": "Apache-2.0",
    }
    save_file(half, output / FILE, metadata)
    for file in output.rglob("*"):
        file.chmod(0o755 if file.is_dir() else 0o644)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("build/demo/package"))
    parser.add_argument("--work", type=Path, default=Path("build/demo"))
    parser.add_argument("--base", type=Path, default=BASE)
    parser.add_argument("--output", type=Path, default=OUTPUT)
    parser.add_argument("--steps", type=int, default=3000)
    parser.add_argument("--seed", type=int, default=7)
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    emoji.fetch(options.data)
    drawings = emoji.draw(options.data, networks.IMAGE_SIZE)
    save(train(drawings, options.base, options.work, options.steps, options.seed), options.output)


if __name__ == "__main__":
    main()
