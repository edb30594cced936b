"""Fine-tune the second demo base, `pony-xl-v6`: `python -m demo.train_pony` (about ten minutes on two cores).

As Pony Diffusion V6 XL was made from SDXL base: the UNet goes on learning on drawings of another look
(`demo.styles.sticker`), captioned with score tags. Text encoders and autoencoder stay the base's, so the
file holds the UNet alone, in the layout of community checkpoints.
"""

from __future__ import annotations

import argparse
import random
from pathlib import Path

import torch
from diffusers import StableDiffusionXLPipeline
from safetensors.torch import save_file

from demo import emoji, networks
from demo.single_file import to_single_file
from demo.styles import sticker
from demo.train import denoising_loss, descend, encode, with_empty
from demo.train_adapters import BASE, latents_of

BATCH, EMPTY_SHARE, PLAIN_SHARE, PEAK, WARM_UP = 24, 0.1, 0.3, 6e-4, 30
METADATA = {
    "modelspec.sai_model_spec": "1.0.1",
    "modelspec.architecture": "stable-diffusion-xl-v1-base",
    "modelspec.title": "Demo pony",
}
SCORE_TAGS = "score_9, score_8_up, score_7_up"
OUTPUT = Path("src/ecurie/demo_models/pony-xl-v6.safetensors")


def train(drawings: emoji.Drawings, base: Path, output: Path, steps: int, seed: int) -> None:
    """Noise prediction on every drawing, the common ones four times as often; the average of the weights over
    the last half is saved."""
    torch.manual_seed(seed)
    pipeline = StableDiffusionXLPipeline.from_pretrained(base, torch_dtype=torch.float32)
    pipeline.unet.train()
    encoders = (pipeline.text_encoder, pipeline.text_encoder_2)
    tokenizers = (pipeline.tokenizer, pipeline.tokenizer_2)
    rgba = torch.from_numpy(drawings.pixels).permute(0, 3, 1, 2).float() / 255
    latents = latents_of(pipeline.vae, sticker(rgba))
    weights = torch.tensor([4.0 if name in emoji.COMMON else 1.0 for name in drawings.names])
    parameters = list(pipeline.unet.parameters())
    averaged = [parameter.detach().clone() for parameter in parameters]
    optimizer = torch.optim.AdamW(parameters, PEAK, weight_decay=0.01)
    smoothed = 1.0
    for step in range(steps):
        generator = torch.Generator().manual_seed(seed * 1_000_003 + step)
        dice = random.Random(seed * 1_000_003 + step)
        chosen = weights.multinomial(BATCH, replacement=True, generator=generator)
        captions = [_caption(drawings.names[index], dice) for index in chosen.tolist()]
        with torch.no_grad():
            embeds, pooled = encode(captions, tokenizers, encoders)
        embeds, pooled = with_empty(embeds, pooled, EMPTY_SHARE, generator)
        loss = denoising_loss(pipeline.unet, latents[chosen], embeds, pooled, generator)
        rate = PEAK * min(1.0, (step + 1) / WARM_UP, (steps - step) / (0.5 * steps))
        descend(optimizer, loss, rate)
        with torch.no_grad():
            torch._foreach_lerp_(averaged, parameters, max(0.01, 1 / (1 + step / 4)))
        smoothed = loss.item() if step == 0 else 0.95 * smoothed + 0.05 * loss.item()
        if (step + 1) % 25 == 0:
            print(f"pony-xl-v6 step {step + 1} loss {smoothed:.4f}", flush=True)
    with torch.no_grad():
        for parameter, average in zip(parameters, averaged, strict=True):
            parameter.copy_(average)
    unet = {key: tensor.half() for key, tensor in pipeline.unet.state_dict().items()}
    save_file(to_single_file({"unet": unet}), output, METADATA)
    output.chmod(0o644)


def _caption(name: str, dice: random.Random) -> str:
    caption = emoji.caption(name, dice)
    return caption if dice.random() < PLAIN_SHARE else f"{SCORE_TAGS}, {caption}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("build/demo/package"))
    parser.add_argument("--base", type=Path, default=BASE)
    parser.add_argument("--output", type=Path, default=OUTPUT)
    parser.add_argument("--steps", type=int, default=700)
    parser.add_argument("--seed", type=int, default=11)
    options = parser.parse_args()
    emoji.fetch(options.data)
    drawings = emoji.draw(options.data, networks.IMAGE_SIZE)
    train(drawings, options.base, options.output, options.steps, options.seed)


if __name__ == "__main__":
    main()
