"""Where a model's parts are at each step. The moves to an accelerator are followed with stand-ins, since the
tests need no GPU; layer by layer runs for real on the CPU."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest
import torch

from ecurie.adapters.upload import Moved
from ecurie.engine import placement
from ecurie.engine.devices import Compute
from ecurie.engine.loader import Model
from ecurie.engine.memory import TEXT_ENCODERS, Step
from ecurie.engine.placement import Placement, parts_of

CUDA = Compute(torch.device("cuda"), torch.float16)
NAMES = ("unet", "vae", "text_encoder", "text_encoder_2")


class Part:
    """A module of which only the place matters."""

    def __init__(self, place: str):
        self.place = torch.device(place)
        self.config = SimpleNamespace(sample_size=1024, block_out_channels=(1, 1, 1, 1))

    def to(self, device: Any) -> None:
        self.place = torch.device(device)

    def modules(self) -> Any:
        return iter(())

    def parameters(self) -> Any:
        return iter([SimpleNamespace(device=self.place)])


def stand_in(place: str) -> tuple[Model, dict[str, Part]]:
    parts = {name: Part(place) for name in NAMES}
    text_encoders = (parts["text_encoder"], parts["text_encoder_2"])
    patcher = SimpleNamespace(signature=lambda _name: ())
    fake = SimpleNamespace(unet=parts["unet"], vae=parts["vae"], text_encoders=text_encoders, patcher=patcher)
    return cast(Model, fake), parts


@pytest.fixture(autouse=True)
def moved_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    def move(part: Part, device: torch.device) -> Moved:
        part.to(device)
        return []

    monkeypatch.setattr(placement, "move", move)


def on_device(parts: dict[str, Part]) -> set[str]:
    return {name for name, part in parts.items() if part.place.type == "cuda"}


@pytest.mark.parametrize("start", ["cuda", "cpu"])
@pytest.mark.parametrize(
    ("step", "encoding", "denoising", "decoding"),
    [
        (Step.ALL_RESIDENT, set(NAMES), set(NAMES), set(NAMES)),
        (Step.TEXT_TO_HOST, set(NAMES), {"unet", "vae"}, {"unet", "vae"}),
        (Step.VAE_TILED, set(NAMES), {"unet", "vae"}, {"unet", "vae"}),
        (Step.MODEL_OFFLOAD, set(TEXT_ENCODERS), {"unet"}, {"vae"}),
        (Step.SEQUENTIAL_OFFLOAD, set(TEXT_ENCODERS), set(), {"vae"}),
    ],
)
def test_only_what_the_step_allows_is_on_the_accelerator(
    start: str,
    step: Step,
    encoding: set[str],
    denoising: set[str],
    decoding: set[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    hooked: list[str] = []
    monkeypatch.setattr(placement, "cpu_offload", lambda _part, device: hooked.append(str(device)))
    monkeypatch.setattr(placement, "remove_hook_from_module", lambda _part, recurse: hooked.append("off"))
    model, parts = stand_in(start)
    ours = Placement(model, CUDA, step)
    ours.settle()
    with ours.at_work(*TEXT_ENCODERS):
        assert on_device(parts) == encoding
    hooked.clear()
    with ours.at_work("unet"):
        assert on_device(parts) == denoising
        assert hooked == (["cuda"] if step is Step.SEQUENTIAL_OFFLOAD else [])
    assert hooked == (["cuda", "off"] if step is Step.SEQUENTIAL_OFFLOAD else [])
    with ours.at_work("vae"):
        assert on_device(parts) == decoding
    assert model.vae.use_tiling is (step >= Step.VAE_TILED)
    assert model.vae.tile_latent_min_size == 64


@pytest.mark.parametrize("step", list(Step))
def test_parts_rest_again_after_an_error(step: Step, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(placement, "cpu_offload", lambda _part, _device: None)
    monkeypatch.setattr(placement, "remove_hook_from_module", lambda _part, recurse: None)
    model, parts = stand_in("cpu")
    ours = Placement(model, CUDA, step)
    ours.settle()
    resting = on_device(parts)
    with pytest.raises(torch.OutOfMemoryError), ours.at_work(*NAMES):
        raise torch.OutOfMemoryError("full")
    assert on_device(parts) == resting


def test_layer_by_layer_computes_the_same_bits_and_leaves_the_weights_as_they_were(
    model: Model, compute: Compute
) -> None:
    generator = torch.Generator().manual_seed(1)
    sample = torch.randn(1, 4, 16, 16, generator=generator)
    text = torch.randn(1, 77, model.unet.config.cross_attention_dim, generator=generator)
    width = model.text_encoders[1].config.projection_dim
    added = {"text_embeds": torch.randn(1, width), "time_ids": torch.zeros(1, 6)}

    def noise() -> torch.Tensor:
        with torch.no_grad():
            result: torch.Tensor = model.unet(sample, 500, text, added_cond_kwargs=added).sample
        return result

    expected = noise()
    before = {name: tensor.data_ptr() for name, tensor in model.unet.state_dict().items()}
    ours = Placement(model, compute, Step.SEQUENTIAL_OFFLOAD)
    ours.settle()
    with ours.at_work("unet"):
        assert {parameter.device.type for parameter in model.unet.parameters()} == {"meta"}
        assert torch.equal(noise(), expected)
        with pytest.raises(ValueError, match="text_embeds"):
            model.unet(sample, 500, text, added_cond_kwargs={})
    assert {name: tensor.data_ptr() for name, tensor in model.unet.state_dict().items()} == before
    assert torch.equal(noise(), expected)
    assert model.patcher.drifted() == []
    Placement(model, compute, Step.ALL_RESIDENT).settle()
    assert model.vae.use_tiling is False
    assert set(parts_of(model)) == set(NAMES)
