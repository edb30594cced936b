"""Train the demo base model from scratch: `python -m demo.train` (about an hour and a half on two cores).

Two stages, each resumable from its last checkpoint: an autoencoder, then the UNet together with both text
encoders on the autoencoder's latents. Every step draws its own random numbers from (seed, step), so a
resumed run takes the same steps as an uninterrupted one.
"""

from __future__ import annotations

import argparse
import csv
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import AutoencoderKL, DDPMScheduler, StableDiffusionXLPipeline
from torch import Tensor, nn
from torch.nn import functional

from demo import emoji, networks
from demo.tokens import UsedTokens, make_tokenizers, save_tokenizer, used_token_ids

AUTOENCODER_BATCH = 12
UNET_BATCH = 32
EMPTY_SHARE, FILLER_SHARE = 0.08, 0.04
SNR_CLIP = 5.0
COMMON_FROM_STEP, COMMON_WEIGHT = 1250, 4.0
CHECKPOINT_EVERY = 250
NOISER = DDPMScheduler(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear")
TIME_IDS = torch.tensor([[64.0, 64, 0, 0, 64, 64]])
LossAt = Callable[[torch.Generator, random.Random], Tensor]


@dataclass(frozen=True)
class Schedule:
    """Learning rate: linear warm-up over 200 steps, then in every cycle flat and a linear decay to 2 %."""

    peak: float
    cycles: tuple[int, ...]
    flat_share: float

    @property
    def steps(self) -> int:
        return sum(self.cycles)

    def rate(self, step: int) -> float:
        start = 0
        for length in self.cycles:
            if step < start + length:
                fraction = (step - start) / length
                break
            start += length
        decay = 1.0 if fraction < self.flat_share else max(0.02, (1 - fraction) / (1 - self.flat_share))
        return self.peak * min(1.0, (step + 1) / 200) * decay


def descend(optimizer: torch.optim.Optimizer, loss: Tensor, rate: float) -> None:
    """One step at this learning rate, the gradient's norm clipped to 1."""
    optimizer.zero_grad()
    loss.backward()
    for group in optimizer.param_groups:
        group["lr"] = rate
        torch.nn.utils.clip_grad_norm_(group["params"], 1.0)
    optimizer.step()


class Run:
    """One stage's loop state: modules, optimizer, moving average, loss log and checkpoint."""

    def __init__(self, name: str, work: Path, modules: list[nn.Module], schedule: Schedule):
        self.name, self.work, self.modules, self.schedule = name, work, modules, schedule
        self.parameters = [p for module in modules for p in module.parameters()]
        self.optimizer = torch.optim.AdamW(self.parameters, schedule.peak, weight_decay=0.01)
        self.average = [p.detach().clone() for p in self.parameters]
        self.step, self.smoothed = 0, 1.0
        if self.checkpoint.exists():
            self._resume()

    @property
    def checkpoint(self) -> Path:
        return self.work / f"{self.name}.pt"

    def _resume(self) -> None:
        state = torch.load(self.checkpoint, weights_only=True)
        for module, weights in zip(self.modules, state["modules"], strict=True):
            module.load_state_dict(weights)
        self.optimizer.load_state_dict(state["optimizer"])
        self.average, self.step, self.smoothed = state["average"], state["step"], state["smoothed"]

    def _write_checkpoint(self) -> None:
        state = {
            "modules": [module.state_dict() for module in self.modules],
            "optimizer": self.optimizer.state_dict(),
            "average": self.average,
            "step": self.step,
            "smoothed": self.smoothed,
        }
        partial = self.checkpoint.with_suffix(".partial")
        torch.save(state, partial)
        partial.replace(self.checkpoint)

    def train(self, seed: int, loss_at: LossAt) -> None:
        """Go on to the schedule's end."""
        began = time.monotonic()
        while self.step < self.schedule.steps:
            generator = torch.Generator().manual_seed(seed * 1_000_003 + self.step)
            dice = random.Random(seed * 1_000_003 + self.step)
            loss = loss_at(generator, dice)
            descend(self.optimizer, loss, self.schedule.rate(self.step))
            self.step += 1
            self._follow(loss.item())
            if self.step % 50 == 0:
                self._log(time.monotonic() - began)
            if self.step % CHECKPOINT_EVERY == 0 or self.step == self.schedule.steps:
                self._write_checkpoint()

    @torch.no_grad()
    def _follow(self, loss: float) -> None:
        self.smoothed = loss if self.step == 1 else 0.98 * self.smoothed + 0.02 * loss
        torch._foreach_lerp_(self.average, self.parameters, max(0.001, 1 / (1 + self.step / 4)))

    def _log(self, seconds: float) -> None:
        print(f"{self.name} step {self.step} loss {self.smoothed:.4f} {seconds:.0f} s", flush=True)
        with (self.work / f"{self.name}-loss.csv").open("a", newline="") as file:
            csv.writer(file).writerow([self.step, f"{self.smoothed:.5f}"])

    @torch.no_grad()
    def use_average(self) -> None:
        for parameter, averaged in zip(self.parameters, self.average, strict=True):
            parameter.copy_(averaged)


def recoloured(batch: Tensor, generator: torch.Generator) -> Tensor:
    """RGBA N×4×H×W in [0, 1] to RGB in [-1, 1]: half on white, the rest on other grounds or in other colours.

    The autoencoder must also draw what adapters ask of it: dark grounds and colours that emoji lack.
    """
    rgb, alpha = batch[:, :3], batch[:, 3:]
    grounds = []
    for index in range(len(batch)):
        kind = torch.rand((), generator=generator)
        ground = torch.ones(3, 1, 1)
        if kind > 0.5:
            ground = torch.rand(3, 1, 1, generator=generator) * (0.0 if kind > 0.85 else 1.0)
        if kind > 0.75:
            rgb[index] = rgb[index][torch.randperm(3, generator=generator)]
        grounds.append(ground)
    mixed = rgb * alpha + torch.stack(grounds) * (1 - alpha)
    flip = torch.rand(len(batch), 1, 1, 1, generator=generator) < 0.5
    negative = torch.rand(len(batch), 1, 1, 1, generator=generator) < 0.08
    mixed = torch.where(flip, mixed.flip(3), mixed)
    return torch.where(negative, 1 - mixed, mixed) * 2 - 1


def edges(images: Tensor) -> tuple[Tensor, Tensor]:
    return images.diff(dim=2), images.diff(dim=3)


def train_autoencoder(pixels: np.ndarray, work: Path, cycles: tuple[int, ...], seed: int) -> AutoencoderKL:
    """L1 on pixels and on edges (flat drawings live by their edges), a little MSE, a slight KL."""
    torch.manual_seed(seed)
    autoencoder = networks.make_autoencoder()
    rgba = torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 255
    run = Run("autoencoder", work, [autoencoder], Schedule(2e-3, cycles, 0.3))

    def loss_at(generator: torch.Generator, _dice: random.Random) -> Tensor:
        chosen = torch.randint(len(rgba), (AUTOENCODER_BATCH,), generator=generator)
        target = recoloured(rgba[chosen], generator)
        posterior = autoencoder.encode(target).latent_dist
        drawn = autoencoder.decode(posterior.sample(generator)).sample
        sharp = sum(functional.l1_loss(a, b) for a, b in zip(edges(drawn), edges(target), strict=True))
        likeness = functional.l1_loss(drawn, target) + 0.5 * functional.mse_loss(drawn, target) + 0.5 * sharp
        return likeness + 5e-7 * posterior.kl().mean()

    run.train(seed, loss_at)
    run.use_average()
    return autoencoder


@torch.no_grad()
def to_latents(autoencoder: AutoencoderKL, images: Tensor) -> Tensor:
    """Scaled latents N×4×16×16; also sets the autoencoder's scaling factor from their deviation."""
    latents = torch.cat([autoencoder.encode(part).latent_dist.mean for part in images.split(32)])
    scale = round(1 / latents.std().item(), 5)
    autoencoder.register_to_config(scaling_factor=scale)
    return latents * scale


def train_unet(
    names: list[str], latents: Tensor, work: Path, steps: int, seed: int
) -> tuple[nn.Module, nn.Module, nn.Module]:
    """Noise prediction, weighted by min(SNR, 5)/SNR (Hang et al. 2023, arXiv:2303.09556).

    8 % of the samples have SDXL's empty condition (zeros), 4 % a caption without a subject; common emoji are
    drawn more often from step 1,250 on. Returns the UNet and both text encoders.
    """
    torch.manual_seed(seed)
    unet, encoders = networks.make_unet(), networks.make_text_encoders()
    tokenizers = make_tokenizers()
    full_tables = [encoder.get_input_embeddings() for encoder in encoders]
    used_tables = [
        UsedTokens(table, used_token_ids(tokenizer, names))
        for table, tokenizer in zip(full_tables, tokenizers, strict=True)
    ]
    for encoder, table in zip(encoders, used_tables, strict=True):
        encoder.set_input_embeddings(table)
    run = Run("unet", work, [unet, *encoders], Schedule(1e-3, (steps,), 0.77))
    weights = torch.tensor([COMMON_WEIGHT if name in emoji.COMMON else 1.0 for name in names])

    def loss_at(generator: torch.Generator, dice: random.Random) -> Tensor:
        if run.step < COMMON_FROM_STEP:
            chosen = torch.randint(len(latents), (UNET_BATCH,), generator=generator)
        else:
            chosen = weights.multinomial(UNET_BATCH, replacement=True, generator=generator)
        captions = [
            emoji.filler_caption(dice) if dice.random() < FILLER_SHARE else emoji.caption(names[i], dice)
            for i in chosen.tolist()
        ]
        embeds, pooled = encode(captions, tokenizers, encoders)
        embeds, pooled = with_empty(embeds, pooled, EMPTY_SHARE, generator)
        clean = latents[chosen]
        return denoising_loss(unet, clean, embeds, pooled, generator)

    run.train(seed, loss_at)
    run.use_average()
    for encoder, full, used in zip(encoders, full_tables, used_tables, strict=True):
        used.write_to(full)
        encoder.set_input_embeddings(full)
    return unet, *encoders


def with_empty(
    embeds: Tensor, pooled: Tensor, share: float, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """A share of the conditions become SDXL's empty one: zeros."""
    kept = torch.rand(len(embeds), generator=generator) >= share
    return embeds * kept[:, None, None], pooled * kept[:, None]


def denoising_loss(
    unet: nn.Module,
    clean: Tensor,
    embeds: Tensor,
    pooled: Tensor,
    generator: torch.Generator,
    more_conditions: dict[str, Any] | None = None,
) -> Tensor:
    """Mean squared error of the noise, weighted by min(SNR, 5)/SNR, at random times."""
    noise = torch.randn(clean.shape, generator=generator)
    times = torch.randint(0, 1000, (len(clean),), generator=generator)
    conditions = {"text_embeds": pooled, "time_ids": TIME_IDS.expand(len(clean), -1)}
    conditions |= more_conditions or {}
    noisy = NOISER.add_noise(clean, noise, times)
    guess = unet(noisy, times, embeds, added_cond_kwargs=conditions).sample
    ratio = NOISER.alphas_cumprod[times] / (1 - NOISER.alphas_cumprod[times])
    weight = ratio.clamp(max=SNR_CLIP) / ratio
    return (weight * (guess - noise).square().mean(dim=(1, 2, 3))).mean()


def encode(
    captions: list[str], tokenizers: Sequence[Any], encoders: Sequence[nn.Module]
) -> tuple[Tensor, Tensor]:
    """SDXL's conditioning: both penultimate hidden states side by side (N×77×64), pooled (N×64)."""
    outputs = []
    for tokenizer, encoder in zip(tokenizers, encoders, strict=True):
        ids = tokenizer(captions, padding="max_length", truncation=True, return_tensors="pt").input_ids
        outputs.append(encoder(ids, output_hidden_states=True))
    embeds = torch.cat([output.hidden_states[-2] for output in outputs], dim=-1)
    return embeds, outputs[1].text_embeds


def save(folder: Path, autoencoder: nn.Module, unet: nn.Module, first: nn.Module, second: nn.Module) -> None:
    """Write a diffusers folder in fp16 safetensors, laid out as SDXL base is published."""
    tokenizers = make_tokenizers()
    pipeline = StableDiffusionXLPipeline(
        vae=autoencoder,
        text_encoder=first,
        text_encoder_2=second,
        tokenizer=tokenizers[0],
        tokenizer_2=tokenizers[1],
        unet=unet,
        scheduler=networks.make_scheduler(),
        add_watermarker=False,
    )
    pipeline.to(dtype=torch.float16).save_pretrained(folder, safe_serialization=True)
    for name, tokenizer in zip(("tokenizer", "tokenizer_2"), tokenizers, strict=True):
        save_tokenizer(folder / name, tokenizer.pad_token)
    for file in folder.rglob("*"):
        file.chmod(0o755 if file.is_dir() else 0o644)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("build/demo/package"))
    parser.add_argument("--work", type=Path, default=Path("build/demo"))
    parser.add_argument("--output", type=Path, default=Path("src/ecurie/demo_models/sdxl-base"))
    parser.add_argument("--autoencoder-steps", type=int, nargs="+", default=[2600, 1800], help="one a cycle")
    parser.add_argument("--unet-steps", type=int, default=6200)
    parser.add_argument("--seed", type=int, default=7)
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    emoji.fetch(options.data)
    drawings = emoji.draw(options.data, networks.IMAGE_SIZE)
    autoencoder = train_autoencoder(
        drawings.pixels, options.work, tuple(options.autoencoder_steps), options.seed
    )
    latents = to_latents(autoencoder, drawings.on_white())
    unet, first, second = train_unet(drawings.names, latents, options.work, options.unet_steps, options.seed)
    save(options.output, autoencoder, unet, first, second)


if __name__ == "__main__":
    main()
