"""Previews look like the picture that comes, early, whatever the scheduler; and cost the picture nothing."""

from __future__ import annotations

import io
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import AutoencoderTiny
from PIL import Image
from safetensors.torch import save_file

from ecurie.catalog.schedulers import SCHEDULERS
from ecurie.domain import Preview, Progress
from ecurie.engine import previews
from ecurie.engine.devices import Compute
from ecurie.engine.engine import Engine
from ecurie.engine.linear_preview import fit_linear_map
from ecurie.engine.loader import Model
from ecurie.engine.previews import Previews, Sketcher
from ecurie.engine.residency import Budgets
from ecurie.engine.tiny_decoder import decode_small, load_tiny_decoder
from ecurie.errors import SettingsError
from ecurie.images.files import OutputFolder
from tests.unit.conftest import ignore, make_picture_request, make_request

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def engine(compute: Compute) -> Engine:
    return Engine(compute, Budgets(10**12, 0, models=2), previews=Previews())


@pytest.fixture(autouse=True)
def every_step(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(previews, "SECONDS_BETWEEN", 0.0)


def run(engine: Engine, outputs: OutputFolder, request: Any) -> tuple[list[Preview], Image.Image, bytes]:
    """Every preview of its only image, the image, and its file."""
    seen: list[Progress] = []
    (image,) = engine.run(request, outputs, seen.append).images
    content = outputs.storage.read(image.filename)
    return [one.preview for one in seen if one.preview], Image.open(io.BytesIO(content)), content


def likeness(preview: Preview, image: Image.Image) -> float:
    """The correlation of their colours, at a quarter of the demo's size."""
    small = [
        np.asarray(one.convert("RGB").resize((16, 16), Image.Resampling.BOX), dtype=float)
        for one in (Image.open(io.BytesIO(preview.image)), image)
    ]
    return float(np.corrcoef(small[0].ravel(), small[1].ravel())[0, 1])


@pytest.mark.parametrize("scheduler", [entry.id for entry in SCHEDULERS])
def test_the_last_preview_looks_like_the_picture_for_every_scheduler(
    scheduler: str, engine: Engine, outputs: OutputFolder
) -> None:
    shown, image, _ = run(engine, outputs, make_request(scheduler=scheduler, steps=6))
    assert shown[-1].step == 6
    assert likeness(shown[-1], image) > 0.9


@pytest.mark.parametrize("fields", [{}, {"zero_snr": True}])
def test_it_does_where_the_model_is_said_to_predict_v(
    fields: dict[str, Any], engine: Engine, outputs: OutputFolder
) -> None:
    request = make_request(prediction_type="v_prediction", steps=4, guidance_scale=1.5, **fields)
    shown, image, _ = run(engine, outputs, request)
    assert likeness(shown[-1], image) > 0.9


@pytest.mark.parametrize("prompt", ["red apple", "cat face"])
def test_an_early_preview_is_recognisable(prompt: str, engine: Engine, outputs: OutputFolder) -> None:
    """After a tenth of the steps, where the latents themselves are noise."""
    shown, image, _ = run(engine, outputs, make_request(prompt=prompt, steps=30))
    assert [preview.step for preview in shown] == list(range(1, 31))
    assert likeness(shown[2], image) > 0.8


def test_previews_of_every_pass_have_the_picture_s_shape(engine: Engine, outputs: OutputFolder) -> None:
    request = make_request(
        width=64, height=128, steps=3, hires={"scale": 1.5, "steps": 4, "strength": 0.5}, guidance_scale=1
    )
    shown, _, _ = run(engine, outputs, request)
    assert [preview.step for preview in shown] == [1, 2, 3, 4, 5]
    assert {Image.open(io.BytesIO(preview.image)).size for preview in shown} == {(64, 128)}


def test_a_masked_picture_has_previews(engine: Engine, outputs: OutputFolder) -> None:
    pictures = {"init_image": ROOT / "docs/pictures/start.png", "mask": ROOT / "docs/pictures/mask.png"}
    shown, _, _ = run(engine, outputs, make_picture_request(prompt="dog", steps=8, strength=0.5, **pictures))
    assert len(shown) == 4


def test_the_picture_is_the_same_to_the_bit(compute: Compute, engine: Engine, outputs: OutputFolder) -> None:
    plain = Engine(compute, Budgets(10**12, 0, models=1))
    without, _, expected = run(plain, outputs, make_request())
    _, _, content = run(engine, outputs, make_request())
    assert without == []
    assert content == expected


def test_half_precision_has_them_too(outputs: OutputFolder) -> None:
    half = Compute(torch.device("cpu"), torch.float16)
    engine = Engine(half, Budgets(10**12, 0, models=1), previews=Previews())
    shown, image, _ = run(engine, outputs, make_request(steps=6))
    assert len(shown) == 6
    assert likeness(shown[-1], image) > 0.9


def test_they_come_seldom_enough(
    engine: Engine, outputs: OutputFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(previews, "SECONDS_BETWEEN", 60.0)
    shown, _, _ = run(engine, outputs, make_request(steps=6))
    assert [preview.step for preview in shown] == [1]


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_numbers_that_are_not_finite_have_no_preview(value: float) -> None:
    scheduler = SimpleNamespace(
        alphas_cumprod=torch.tensor([0.9, 0.5]), config=SimpleNamespace(prediction_type="epsilon")
    )
    tensors = {"noise_pred": torch.full((1, 4, 8, 8), value), "latent_model_input": torch.zeros(2, 4, 8, 8)}
    sketcher = Sketcher(lambda _latents: pytest.fail("a picture was made"))
    assert sketcher.sketch(scheduler, torch.tensor(1), tensors, 1, 64) is None


def test_the_map_is_close_to_what_the_vae_decodes(model: Model) -> None:
    """Smooth latents that it was not fitted to, in float16."""
    linear = fit_linear_map(model.vae)
    assert linear is not None
    coarse = torch.randn((1, 4, 4, 4), generator=torch.Generator().manual_seed(99))
    latents = torch.nn.functional.interpolate(coarse, (16, 16), mode="bicubic")
    with torch.no_grad():
        decoded = model.vae.decode(latents / model.vae.config.scaling_factor).sample / 2 + 0.5
    expected = torch.nn.functional.avg_pool2d(decoded.clamp(0, 1), 4)[0].permute(1, 2, 0)
    found = np.asarray(linear.picture(latents.half())) / 255
    assert np.corrcoef(found.ravel(), expected.numpy().ravel())[0, 1] > 0.9


def test_a_broken_vae_has_no_map(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    bias = model.vae.decoder.conv_out.bias
    monkeypatch.setattr(bias, "data", torch.full_like(bias, float("nan")))
    assert fit_linear_map(model.vae) is None


@pytest.fixture(scope="module")
def tiny() -> AutoencoderTiny:
    torch.manual_seed(0)
    return AutoencoderTiny(
        encoder_block_out_channels=(8, 8, 8),
        decoder_block_out_channels=(8, 8, 8),
        num_encoder_blocks=(1, 1, 1),
        num_decoder_blocks=(1, 1, 1),
    ).eval()


def test_a_tiny_autoencoder_makes_them_where_one_is_named(
    tiny: AutoencoderTiny, compute: Compute, outputs: OutputFolder, tmp_path: Path
) -> None:
    tiny.save_pretrained(tmp_path / "tiny")
    loaded = load_tiny_decoder(tmp_path / "tiny", compute)
    engine = Engine(compute, Budgets(10**12, 0, models=1), previews=Previews(loaded))
    shown, _, _ = run(engine, outputs, make_request(steps=2))
    latents = torch.randn(1, 4, 16, 16)
    with torch.no_grad():
        expected = (tiny.decode(latents).sample / 2 + 0.5).clamp(0, 1)[0].permute(1, 2, 0) * 255
        found = decode_small(loaded, latents, 256)
    assert np.abs(np.asarray(found) - expected.numpy()).max() <= 1
    assert [Image.open(io.BytesIO(preview.image)).size for preview in shown] == [(64, 64)] * 2


def test_large_latents_are_averaged_before_a_tiny_autoencoder_sees_them(tiny: AutoencoderTiny) -> None:
    with torch.no_grad():
        assert decode_small(tiny, torch.randn(1, 4, 128, 96), 256).size == (192, 256)


def test_taesd_s_own_file_is_loaded(compute: Compute, tmp_path: Path) -> None:
    save_file(AutoencoderTiny().state_dict(), tmp_path / "taesdxl.safetensors")
    loaded = load_tiny_decoder(tmp_path / "taesdxl.safetensors", compute)
    with torch.no_grad():
        assert decode_small(loaded, torch.randn(1, 4, 8, 8), 256).size == (64, 64)


def test_another_file_is_refused_as_a_preview_decoder(compute: Compute, tmp_path: Path) -> None:
    save_file({"a": torch.zeros(1)}, tmp_path / "a.safetensors")
    (tmp_path / "empty").mkdir()
    for name in ("a.safetensors", "empty", "nowhere"):
        with pytest.raises(SettingsError, match=name):
            load_tiny_decoder(tmp_path / name, compute)


def test_a_model_s_map_is_fitted_once(
    engine: Engine, outputs: OutputFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine.run(make_request(steps=1), outputs, ignore)
    monkeypatch.setattr(previews, "fit_linear_map", lambda _vae: pytest.fail("fitted again"))
    engine.run(make_request(steps=1), outputs, ignore)
