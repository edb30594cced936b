"""Pictures of the model card and the README, and the reference drawings of the tests: `python -m demo.card`.

Everything drawn here goes through Écurie's own engine, as a user's request would.
"""

from __future__ import annotations

import argparse
import csv
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt
from PIL import Image, ImageDraw, ImageFont

from demo import emoji, networks
from demo.prompts import PROMPTS
from ecurie.catalog.catalog import BUILTIN, Catalog
from ecurie.engine.devices import choose_compute
from ecurie.engine.engine import Engine
from ecurie.engine.residency import Budgets
from ecurie.images.files import OutputFolder
from ecurie.images.storage import LocalFolder
from ecurie.images.uploads import UploadLimits
from ecurie.requests.body import GenerateBody
from ecurie.requests.pictures import PictureSource, picture_at
from ecurie.requests.resolve import resolve

PICTURES = Path("docs/pictures")
REFERENCES = Path("tests/data/emoji")
ADAPTER_PROMPTS = ("cat face", "rocket", "pizza", "house with garden")
LOOKS = ("red-apple", "sun-with-face", "spouting-whale", "octopus", "pizza", "alien")
REFERENCE_PROMPTS = ("cat face", "rocket", "a drawing")
STRENGTHS = (0.6, 1.0)
SEED = 7
PICTURE_FILES = PictureSource(partial(picture_at, limits=UploadLimits(10**9, 10**9)))


class Painter:
    """Draws through Écurie's engine, with the demo catalogue."""

    def __init__(self) -> None:
        self._engine = Engine(choose_compute("auto"), Budgets(10**12, 10**12, models=1))
        self._catalog = Catalog(BUILTIN["demo"], Path("nowhere"))

    def draw(
        self, prompt: str, stack: dict[str, float], model: str = "sdxl-base", **fields: Any
    ) -> Image.Image:
        loras = [{"name": name, "weight": weight} for name, weight in stack.items()]
        body = GenerateBody(model=model, prompt=prompt, seed=SEED, guidance_scale=5.0, loras=loras, **fields)
        request = resolve(body, self._catalog, 10**9, PICTURE_FILES)
        with tempfile.TemporaryDirectory() as folder:
            outputs = OutputFolder(LocalFolder(Path(folder)), "card", datetime.now(UTC), "picture.png")
            self._engine.run(request, outputs, lambda _progress: None)
            return Image.open(Path(folder) / "picture.png").convert("RGB")


def adapter_columns() -> dict[str, tuple[str, dict[str, float]]]:
    """Label to model and stack: the base (each adapter at 0), each at 0.5 and 1, a stack of three, and the
    second base without and with an adapter."""
    short = {
        "style-anime": "anime",
        "character-detailed": "detailed",
        "cyberpunk-style": "cyberpunk",
        "ink-sketch": "sketch",
    }
    single = {f"{label} {weight}": {name: weight} for name, label in short.items() for weight in (0.5, 1.0)}
    three = {"style-anime": 0.6, "character-detailed": 0.8, "cyberpunk-style": 0.7}
    stacks = {"base (all at 0)": {}, **single, "stack of three": three}
    columns = {label: ("sdxl-base", stack) for label, stack in stacks.items()}
    pony = {"pony": {}, "pony + anime 1.0": {"style-anime": 1.0}}
    return columns | {label: ("pony-xl-v6", stack) for label, stack in pony.items()}


def passes(painter: Painter) -> dict[str, Image.Image]:
    """A picture, what is drawn from it with and without a mask, and a picture of two passes."""
    start, mask = PICTURES / "start.png", PICTURES / "mask.png"
    shutil.copyfile(REFERENCES / "cat-face.png", start)
    upper = Image.new("L", (networks.IMAGE_SIZE, networks.IMAGE_SIZE))
    upper.paste(255, (0, 0, networks.IMAGE_SIZE, 28))
    upper.save(mask)
    from_start = {"init_image": str(start), "strength": 0.6}
    larger = {"scale": 1.5, "strength": 0.1}
    return {
        "init_image": Image.open(start).convert("RGB"),
        "dog, strength 0.6": painter.draw("dog", {}, **from_start),
        "mask": upper.convert("RGB"),
        "dog, masked": painter.draw("dog", {}, **from_start, mask=str(mask), mask_blur=2),
        "rocket": painter.draw("rocket", {}),
        "rocket, hires 1.5": painter.draw("rocket", {}, hires=larger),
    }


def reference_cells(painter: Painter) -> Iterator[tuple[str, Image.Image]]:
    """The references, then a row for each prompt and strength; first without a reference."""
    files = [REFERENCES / f"{name}.png" for name in LOOKS]
    side = networks.IMAGE_SIZE
    yield "references", Image.new("RGB", (side, side), "white")
    for file in files:
        yield file.stem.replace("-", " "), Image.open(file).convert("RGB")
    for prompt in REFERENCE_PROMPTS:
        for strength in STRENGTHS:
            yield f"{prompt}, 0", painter.draw(prompt, {})
            for file in files:
                yield (
                    f"{strength:g}",
                    painter.draw(prompt, {}, reference_images=[str(file)], ip_strength=strength),
                )


def grid(pictures: Iterable[tuple[str, Image.Image]], columns: int, zoom: int) -> Image.Image:
    """Labelled pictures, `columns` a row."""
    pictures = list(pictures)
    side, label = networks.IMAGE_SIZE * zoom, 22
    rows = -(-len(pictures) // columns)
    sheet = Image.new("RGB", (columns * side, rows * (side + label)), "white")
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(14)
    for index, (prompt, picture) in enumerate(pictures):
        left, top = index % columns * side, index // columns * (side + label)
        sheet.paste(picture.resize((side, side), Image.Resampling.LANCZOS), (left, top))
        pen.text((left + side / 2, top + side + label / 2), prompt, "black", font, anchor="mm")
    return sheet


def plot_losses(work: Path, file: Path) -> None:
    mpl.use("agg")
    figure, axes = plt.subplots(1, 2, figsize=(9, 3), layout="constrained")
    for axis, (stage, title) in zip(
        axes, {"autoencoder": "Autoencoder", "unet": "UNet and text encoders"}.items(), strict=True
    ):
        with (work / f"{stage}-loss.csv").open() as lines:
            points = {int(step): float(loss) for step, loss in csv.reader(lines)}
        axis.plot(sorted(points), [points[step] for step in sorted(points)])
        axis.set(title=title, xlabel="step", ylabel="loss (moving average)", yscale="log")
        axis.grid(visible=True, which="both", alpha=0.3)
    figure.savefig(file, dpi=80)


def save_references(data: Path) -> None:
    drawings = emoji.draw(data, networks.IMAGE_SIZE)
    REFERENCES.mkdir(parents=True, exist_ok=True)
    for name in PROMPTS.values():
        drawing = Image.fromarray(drawings.pixels[drawings.names.index(name)])
        white = Image.new("RGBA", drawing.size, "white")
        Image.alpha_composite(white, drawing).convert("RGB").save(REFERENCES / f"{name}.png")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, default=Path("build/demo"))
    options = parser.parse_args()
    PICTURES.mkdir(parents=True, exist_ok=True)
    save_references(options.work / "package")
    plot_losses(options.work, PICTURES / "demo-loss.png")
    painter = Painter()
    prompts = ((prompt, painter.draw(prompt, {})) for prompt in PROMPTS)
    grid(prompts, columns=10, zoom=2).save(PICTURES / "demo-grid.png", optimize=True)
    references = grid(reference_cells(painter), columns=len(LOOKS) + 1, zoom=2)
    references.save(PICTURES / "references-grid.png", optimize=True)
    columns = adapter_columns()
    adapters = (
        (label, painter.draw(prompt, stack, model))
        for prompt in ADAPTER_PROMPTS
        for label, (model, stack) in columns.items()
    )
    row = passes(painter)
    grid(row.items(), columns=len(row), zoom=2).save(PICTURES / "passes.png", optimize=True)
    grid(adapters, columns=len(columns), zoom=2).save(PICTURES / "adapters-grid.png", optimize=True)


if __name__ == "__main__":
    main()
