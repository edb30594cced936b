"""Reference pictures: the same as diffusers' own IP-Adapter, and no trace of them afterwards."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import StableDiffusionXLPipeline
from diffusers.models.attention_processor import IPAdapterAttnProcessor2_0
from PIL import Image
from transformers import CLIPVisionModelWithProjection

from ecurie.adapters.parallel import go_on
from ecurie.catalog.catalog import Catalog
from ecurie.domain import GenerationRequest, JobResult
from ecurie.engine import references as references_module
from ecurie.engine.devices import Compute
from ecurie.engine.engine import Engine
from ecurie.engine.loader import Model
from ecurie.engine.memory import Step
from ecurie.engine.placement import Placement
from ecurie.engine.references import References
from ecurie.engine.residency import Budgets
from ecurie.errors import AdapterInvalid, InvalidRequest, JobCancelled
from ecurie.images.files import OutputFolder
from ecurie.images.incoming import read_here
from ecurie.images.storage import LocalFolder
from tests.conftest import DEMO_FOLDER
from tests.unit.conftest import ignore
from tests.unit.ip_adapters import DRAWINGS, ENCODER, PLAIN, catalog_with, drawing, request_with, save_plus

REFERENCES = ("red-apple", "octopus")


@pytest.fixture(scope="module")
def catalog(tmp_path_factory: pytest.TempPathFactory) -> Catalog:
    folder = tmp_path_factory.mktemp("catalogue")
    return catalog_with(folder, plain=PLAIN, plus=save_plus(folder / "plus.safetensors"))


@pytest.fixture(scope="module")
def oracle() -> StableDiffusionXLPipeline:
    pipeline = StableDiffusionXLPipeline.from_pretrained(
        DEMO_FOLDER,
        image_encoder=CLIPVisionModelWithProjection.from_pretrained(ENCODER, dtype=torch.float32),
        torch_dtype=torch.float32,
        add_watermarker=False,
    )
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def draw(engine: Engine, outputs: OutputFolder, request: GenerationRequest) -> tuple[np.ndarray, JobResult]:
    result = engine.run(request, outputs, ignore)
    with Image.open(outputs.storage.folder / result.images[0].filename) as picture:
        return np.asarray(picture).astype(int), result


@pytest.mark.parametrize("guidance", [5.0, 1.0])
@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize("kind", ["plain", "plus"])
def test_a_picture_equals_diffusers_own_ip_adapter(
    kind: str,
    count: int,
    guidance: float,
    catalog: Catalog,
    oracle: StableDiffusionXLPipeline,
    engine: Engine,
    outputs: OutputFolder,
) -> None:
    request = request_with(
        catalog, *REFERENCES[:count], ip_adapter=kind, ip_strength=0.8, guidance_scale=guidance
    )
    got, result = draw(engine, outputs, request)
    assert request.ip_adapter is not None
    file = Path(request.ip_adapter.file)
    oracle.load_ip_adapter(str(file.parent), subfolder="", weight_name=file.name, image_encoder_folder=None)
    oracle.set_ip_adapter_scale(0.8)
    pictures = [Image.open(DRAWINGS / f"{name}.png").convert("RGB") for name in REFERENCES[:count]]
    expected = oracle(
        "cat face",
        ip_adapter_image=[pictures],
        num_inference_steps=4,
        guidance_scale=guidance,
        height=64,
        width=64,
        generator=torch.Generator("cpu").manual_seed(7),
    ).images[0]
    assert np.abs(got - np.asarray(expected).astype(int)).max() <= 1
    report = result.ip_adapter
    assert report is not None
    assert (report.name, report.kind, report.strength, report.references) == (kind, kind, 0.8, count)


def test_strength_0_is_the_picture_without_references_bit_for_bit(
    catalog: Catalog, compute: Compute, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(references_module, "load_ip_adapter")
    monkeypatch.delattr(references_module, "load_image_encoder")
    engine = Engine(compute, Budgets(10**12, 0, models=1))
    contents = []
    for name, references in (("with", REFERENCES), ("without", ())):
        outputs = OutputFolder(LocalFolder(tmp_path), "job", datetime.now(UTC), f"{name}.png")
        result = engine.run(request_with(catalog, *references, ip_strength=0), outputs, ignore)
        assert result.ip_adapter is None
        contents.append((tmp_path / f"{name}.png").read_bytes())
    assert contents[0] == contents[1]


def test_references_and_their_strength_change_the_picture(
    catalog: Catalog, engine: Engine, outputs: OutputFolder
) -> None:
    requests = (
        request_with(catalog, ip_strength=0),
        request_with(catalog, "red-apple"),
        request_with(catalog, "red-apple", ip_strength=1),
        request_with(catalog, "octopus"),
    )
    drawn = [draw(engine, outputs, request)[0] for request in requests]
    for index, one in enumerate(drawn):
        for other in drawn[index + 1 :]:
            assert np.abs(one - other).max() > 10


def traces_in(model: Model) -> dict[str, object]:
    """What of a UNet could betray an adapter that was there."""
    unet = model.unet
    return {
        "processors": [type(processor) for processor in unet.attn_processors.values()],
        "tensors": {name: tensor.data_ptr() for name, tensor in unet.state_dict().items()},
        "names": [name for name, _ in unet.named_modules()],
        "rest": (unet.encoder_hid_proj, unet.config.encoder_hid_dim_type),
        "registered": "encoder_hid_proj" in unet._modules,
    }


@pytest.fixture
def traced(model: Model) -> Iterator[Model]:
    before = traces_in(model)
    yield model
    assert traces_in(model) == before
    assert model.patcher.drifted() == []


@pytest.mark.parametrize("kind", ["plain", "plus"])
def test_the_unet_is_as_before_also_after_an_error(
    kind: str, traced: Model, compute: Compute, catalog: Catalog
) -> None:
    references = References(compute)
    request = request_with(catalog, "octopus", ip_adapter=kind)
    prepared = references.prepare(request, traced, read_here, go_on)

    def stop() -> None:
        with references.at_work(prepared, traced, Step.ALL_RESIDENT):
            kinds = [type(processor) for processor in traced.unet.attn_processors.values()]
            assert kinds.count(IPAdapterAttnProcessor2_0) == 11
            assert traced.patcher.drifted() == []
            raise JobCancelled("stop")

    with pytest.raises(JobCancelled):
        stop()


def test_layer_by_layer_computes_the_same_bits(traced: Model, compute: Compute, catalog: Catalog) -> None:
    references = References(compute)
    request = request_with(catalog, "octopus")
    prepared = references.prepare(request, traced, read_here, go_on)
    assert prepared is not None
    generator = torch.Generator().manual_seed(1)
    unet = traced.unet
    sample = torch.randn(1, 4, 16, 16, generator=generator)
    text = torch.randn(1, 77, unet.config.cross_attention_dim, generator=generator)
    width = traced.text_encoders[1].config.projection_dim
    added = {"text_embeds": torch.randn(1, width, generator=generator), "time_ids": torch.zeros(1, 6)}
    added["image_embeds"] = prepared.embeds.arguments(1.0)["ip_adapter_image_embeds"]
    noises = []
    for step in (Step.ALL_RESIDENT, Step.SEQUENTIAL_OFFLOAD):
        placement = Placement(traced, compute, step)
        with references.at_work(prepared, traced, step), placement.at_work("unet"), torch.no_grad():
            noises.append(unet(sample, 500, text, added_cond_kwargs=added).sample)
    assert torch.equal(*noises)


def test_model_switches_evictions_and_reused_modules_keep_references_right(
    catalog: Catalog, compute: Compute, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The adapter is read once; every picture is that of an engine that did nothing else."""
    reads: list[str] = []
    load = references_module.load_ip_adapter

    def counted(*arguments: object) -> object:
        reads.append("read")
        return load(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(references_module, "load_ip_adapter", counted)
    copied = Path(shutil.copytree(DEMO_FOLDER, tmp_path / "b"))
    asked = {
        "with": request_with(catalog, "octopus", steps=1),
        "without": request_with(catalog, steps=1),
    }
    elsewhere = {name: dataclasses.replace(asked[name], model="b", model_path=str(copied)) for name in asked}
    fresh = {
        name: draw(Engine(compute, Budgets(10**12, 0)), _outputs(tmp_path), request)[0]
        for name, request in asked.items()
    }
    reads.clear()
    engine = Engine(compute, Budgets(10**12, 0, models=1))
    for requests, name in (
        (asked, "with"),
        (elsewhere, "without"),
        (elsewhere, "with"),
        (asked, "without"),
    ):
        assert np.array_equal(draw(engine, _outputs(tmp_path), requests[name])[0], fresh[name])
    assert reads == ["read"]


def _outputs(folder: Path) -> OutputFolder:
    return OutputFolder(LocalFolder(folder), "job", datetime.now(UTC))


def test_what_was_replaced_while_the_job_waited_is_refused(
    catalog: Catalog, engine: Engine, outputs: OutputFolder, tmp_path: Path
) -> None:
    request = request_with(catalog, "octopus")
    assert request.ip_adapter is not None
    for changes in ({"sha256": "0" * 64}, {"encoder_sha256": "0" * 64}):
        other = dataclasses.replace(request, ip_adapter=dataclasses.replace(request.ip_adapter, **changes))
        with pytest.raises(AdapterInvalid, match="was replaced"):
            engine.run(other, outputs, ignore)
    picture = tmp_path / "reference.png"
    picture.write_bytes((DRAWINGS / "rocket.png").read_bytes())
    gone = dataclasses.replace(drawing("pizza"), file=str(picture))
    with pytest.raises(InvalidRequest, match="no longer the picture"):
        engine.run(dataclasses.replace(request, references=(gone,)), outputs, ignore)
