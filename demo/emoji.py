"""The training data: Fluent Emoji Flat drawings (MIT, Microsoft) and their names as captions."""

from __future__ import annotations

import io
import json
import random
import subprocess
import tarfile
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import resvg_py
import torch
from PIL import Image

NPM_PACKAGE = "@iconify-json/fluent-emoji-flat@1.2.6"
KEPT_CATEGORIES = (
    "Animals & Nature",
    "Food & Drink",
    "Objects",
    "Smileys & Emotion",
    "Travel & Places",
)

# Everyday words for what the set calls by a longer or rarer name, so that people's first guesses draw.
OTHER_NAMES: dict[str, tuple[str, ...]] = {
    "automobile": ("car", "red car"),
    "bear": ("teddy",),
    "beer-mug": ("beer",),
    "birthday-cake": ("cake",),
    "bouquet": ("flowers",),
    "bug": ("caterpillar",),
    "camera": ("photo camera",),
    "cat-face": ("cat", "kitten"),
    "cow-face": ("cow",),
    "crescent-moon": ("moon",),
    "deciduous-tree": ("tree",),
    "dog-face": ("dog", "puppy"),
    "dragon-face": ("dragon",),
    "evergreen-tree": ("pine tree",),
    "fox": ("fox face",),
    "french-fries": ("fries",),
    "frog": ("frog face",),
    "grinning-face": ("smiley", "happy face"),
    "hamburger": ("burger",),
    "hot-beverage": ("coffee", "cup of tea"),
    "house": ("home",),
    "light-bulb": ("lamp",),
    "loudly-crying-face": ("crying face",),
    "mobile-phone": ("phone", "smartphone"),
    "monkey-face": ("monkey",),
    "mouse-face": ("mouse",),
    "octopus": ("kraken",),
    "panda": ("panda face",),
    "pig-face": ("pig",),
    "rabbit-face": ("rabbit", "bunny"),
    "red-heart": ("heart",),
    "rocket": ("space rocket", "spaceship"),
    "sailboat": ("boat",),
    "slightly-smiling-face": ("smiling face",),
    "spouting-whale": ("whale with water",),
    "sun": ("the sun",),
    "tiger-face": ("tiger",),
    "unicorn": ("pony", "pony character", "unicorn face"),
}

# What people ask for first; shown more often once the model has learned to draw at all.
COMMON = frozenset(OTHER_NAMES) | frozenset(
    """
    airplane alarm-clock alien banana bat bell bicycle blue-book bomb bread bus butterfly cactus carrot castle
    cheese-wedge cherries chicken chocolate-bar cloud clown-face cookie crocodile crown dolphin doughnut
    droplet duck eagle elephant fire fish four-leaf-clover full-moon gem-stone ghost grapes guitar hammer
    hatching-chick hedgehog helicopter honeybee hot-dog house-with-garden ice-cream key koala lady-beetle
    laptop lemon lion locomotive lollipop money-bag mushroom orange-heart owl palm-tree peach pencil penguin
    pile-of-poo pineapple pizza popcorn rainbow red-apple robot rose scissors shark skull snail snake snowman
    soft-ice-cream spider spouting-whale star strawberry sun-with-face sunflower sushi taco television tent
    tomato tropical-fish tulip turtle umbrella volcano water-wave watermelon wine-glass
    """.split()
)

TEMPLATES = ("{}", "a {}", "a picture of a {}", "{} emoji", "a drawing of {}", "an icon of a {}")

# Words that say nothing about the subject. Seen in training beside every subject, they learn to mean
# nothing, so that style words and adapters' trigger words leave the base model's picture alone.
FILLERS = (
    "masterpiece", "best quality", "highly detailed", "detailed", "beautiful", "cute", "colorful",
    "low quality", "bad anatomy", "worst quality", "low res", "blurry", "distorted", "ugly", "watermark",
    "anime style", "cyberpunk", "neon", "character", "digital art", "illustration", "sketch", "photo",
    "4k", "sharp focus", "simple background", "white background", "soft light", "cinematic", "fantasy",
    "detailed eyes", "colorful mane", "in anime style", "detailed character", "score_9", "score_8_up",
    "score_7_up", "vibrant", "minimal", "flat", "test", "style", "art", "portrait", "realistic",
)  # fmt: skip


@dataclass(frozen=True)
class Drawings:
    """Names (`red-apple`) and RGBA drawings, uint8 of shape N×size×size×4."""

    names: list[str]
    pixels: np.ndarray

    def on_white(self) -> torch.Tensor:
        """float32 N×3×size×size in [-1, 1], composited on white."""
        rgba = torch.from_numpy(self.pixels).permute(0, 3, 1, 2).float() / 255
        alpha = rgba[:, 3:]
        return (rgba[:, :3] * alpha + (1 - alpha)) * 2 - 1


def fetch(package: Path) -> None:
    """Unpack the npm package to `package`, unless it is there. Raises CalledProcessError when npm cannot."""
    if (package / "icons.json").exists():
        return
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(["npm", "pack", "--silent", NPM_PACKAGE], cwd=folder, check=True)
        (archive,) = Path(folder).glob("*.tgz")
        with tarfile.open(archive) as content:
            content.extractall(package.parent, filter="data")


def draw(package: Path, size: int) -> Drawings:
    """Draw the kept categories of an unpacked Iconify JSON package, square, `size` pixels wide.

    Raises FileNotFoundError when `package` is not such a package.
    """
    icons = json.loads((package / "icons.json").read_text())
    categories = json.loads((package / "metadata.json").read_text())["categories"]
    wanted = sorted({name for kept in KEPT_CATEGORIES for name in categories[kept]} & icons["icons"].keys())
    width, height = icons["width"], icons["height"]
    frames = []
    for name in wanted:
        svg = (
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{size}" height="{size}" '
            f'viewBox="0 0 {width} {height}">{icons["icons"][name]["body"]}</svg>'
        )
        png = bytes(resvg_py.svg_to_bytes(svg_string=svg))
        frames.append(np.asarray(Image.open(io.BytesIO(png)).convert("RGBA")))
    return Drawings(names=wanted, pixels=np.stack(frames))


def plain_caption(name: str) -> str:
    return name.replace("-", " ")


def subjects(name: str) -> tuple[str, ...]:
    """Every phrase that means this emoji; the plain name first."""
    return (plain_caption(name), *OTHER_NAMES.get(name, ()))


def caption(name: str, dice: random.Random) -> str:
    """A caption as a person might type it: mostly the name, often a template, sometimes filler words."""
    phrases = subjects(name)
    phrase = phrases[0] if dice.random() < 0.6 else dice.choice(phrases)
    text = TEMPLATES[0] if dice.random() < 0.5 else dice.choice(TEMPLATES)
    text = text.format(phrase)
    if dice.random() < 0.4:
        before, after = dice.randint(0, 2), dice.randint(0, 4)
        text = ", ".join([*dice.sample(FILLERS, before), text, *dice.sample(FILLERS, after)])
    return text


def filler_caption(dice: random.Random) -> str:
    """A caption without a subject, such as a negative prompt."""
    return ", ".join(dice.sample(FILLERS, dice.randint(1, 6)))
