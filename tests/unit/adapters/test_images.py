"""The oracle for whole pictures: diffusers' `load_lora_weights` and `set_adapters` with the same files."""

from __future__ import annotations

import dataclasses
import shutil
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import StableDiffusionXLPipeline
from peft import LoraConfig
from peft.utils import get_peft_model_state_dict
from PIL import Image

from ecurie.domain import AdapterUse
from ecurie.engine.engine import Engine
from ecurie.errors import AdapterInvalid
from ecurie.formats.adapter_file import read_adapter
from ecurie.formats.hashes import sha256_of
from ecurie.images.files import OutputFolder
from tests.conftest import DEMO_FOLDER
from tests.unit.adapters import files
from tests.unit.conftest import ignore, make_request


@pytest.fixture
def oracle() -> StableDiffusionXLPipeline:
    pipeline = StableDiffusionXLPipeline.from_pretrained(
        DEMO_FOLDER, torch_dtype=torch.float32, add_watermarker=False
    )
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def plain(pipeline: StableDiffusionXLPipeline) -> np.ndarray:
    image = pipeline(
        prompt="red apple",
        num_inference_steps=4,
        guidance_scale=7.5,
        height=64,
        width=64,
        generator=torch.Generator("cpu").manual_seed(7),
    ).images[0]
    return np.asarray(image).astype(int)


def ours(engine: Engine, outputs: OutputFolder, stack: dict[Path, float]) -> np.ndarray:
    uses = tuple(
        AdapterUse(file.stem, str(file), sha256_of(file), "", weight, weight)
        for file, weight in stack.items()
    )
    request = dataclasses.replace(make_request(negative_prompt=""), adapters=uses)
    result = engine.run(request, outputs, ignore)
    assert len(result.report.adapters) == len(stack)
    return np.asarray(Image.open(outputs.storage.folder / result.images[0].filename)).astype(int)


def diffusers_with(pipeline: StableDiffusionXLPipeline, stack: dict[Path, float]) -> np.ndarray:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for file in stack:
            pipeline.load_lora_weights(str(file), adapter_name=file.stem)
        pipeline.set_adapters([file.stem for file in stack], list(stack.values()))
    return plain(pipeline)


def peft_file(folder: Path, seed: int, *, alpha: int = 8, rslora: bool = False) -> Path:
    """Made by PEFT and diffusers themselves, as their training scripts do."""
    pipeline = StableDiffusionXLPipeline.from_pretrained(DEMO_FOLDER, add_watermarker=False)
    torch.manual_seed(seed)
    config = {"r": 4, "lora_alpha": alpha, "init_lora_weights": False, "use_rslora": rslora}
    unet = LoraConfig(target_modules=["to_q", "to_k", "to_v", "to_out.0", "conv1", "proj_in"], **config)
    text = LoraConfig(target_modules=["q_proj", "v_proj", "fc1"], **config)
    pipeline.unet.add_adapter(unet)
    pipeline.text_encoder.add_adapter(text)
    pipeline.text_encoder_2.add_adapter(text)
    parts = (pipeline.unet, pipeline.text_encoder, pipeline.text_encoder_2)
    states = [get_peft_model_state_dict(part) for part in parts]
    for state in states:
        for tensor in state.values():
            tensor.mul_(0.35)
    StableDiffusionXLPipeline.save_lora_weights(
        folder,
        *states,
        weight_name=f"peft-{seed}.safetensors",
        unet_lora_adapter_metadata=unet.to_dict() if alpha != 4 or rslora else None,
        text_encoder_lora_adapter_metadata=text.to_dict() if alpha != 4 or rslora else None,
        text_encoder_2_lora_adapter_metadata=text.to_dict() if alpha != 4 or rslora else None,
    )
    return folder / f"peft-{seed}.safetensors"


@pytest.mark.parametrize("sgm", [False, True])
def test_a_kohya_file_draws_what_diffusers_draws(
    sgm: bool, oracle: StableDiffusionXLPipeline, engine: Engine, outputs: OutputFolder, tmp_path: Path
) -> None:
    file = files.save(tmp_path / "k.safetensors", files.kohya_tensors(files.attention_places(), sgm=sgm))
    before = plain(oracle)
    got = ours(engine, outputs, {file: 0.8})
    assert np.abs(got - before).max() > 10
    assert np.abs(got - diffusers_with(oracle, {file: 0.8})).max() <= 1


@pytest.mark.parametrize(("alpha", "rslora"), [(4, False), (8, False), (8, True)])
def test_a_peft_file_draws_what_diffusers_draws(
    alpha: int,
    rslora: bool,
    oracle: StableDiffusionXLPipeline,
    engine: Engine,
    outputs: OutputFolder,
    tmp_path: Path,
) -> None:
    file = peft_file(tmp_path, 1, alpha=alpha, rslora=rslora)
    assert read_adapter(file, files.demo_inventory()).naming == "PEFT"
    before = plain(oracle)
    got = ours(engine, outputs, {file: 1.0})
    assert np.abs(got - before).max() > 10
    assert np.abs(got - diffusers_with(oracle, {file: 1.0})).max() <= 1


@pytest.mark.parametrize("weight", [1.0, 0.4])
def test_a_peft_dora_draws_what_peft_draws(
    weight: float, oracle: StableDiffusionXLPipeline, engine: Engine, outputs: OutputFolder, tmp_path: Path
) -> None:
    torch.manual_seed(6)
    config = LoraConfig(
        r=4, lora_alpha=4, use_dora=True, init_lora_weights=False, target_modules=["to_q", "to_v", "conv1"]
    )
    oracle.unet.add_adapter(config, "dora")
    with torch.no_grad():
        for name, parameter in oracle.unet.named_parameters():
            if "lora_magnitude_vector" in name:
                parameter.mul_(1 + 0.3 * torch.rand_like(parameter))
            elif "lora_" in name:
                parameter.mul_(0.15)
    state = get_peft_model_state_dict(oracle.unet, adapter_name="dora")
    file = files.save(tmp_path / "d.safetensors", {f"unet.{key}": tensor for key, tensor in state.items()})
    assert read_adapter(file, files.demo_inventory()).algorithms().keys() == {"LoRA (DoRA)"}
    oracle.set_adapters("dora", weight)
    assert np.abs(ours(engine, outputs, {file: weight}) - plain(oracle)).max() <= 1


def test_a_stack_draws_what_diffusers_draws_and_leaves_nothing(
    oracle: StableDiffusionXLPipeline, engine: Engine, outputs: OutputFolder, tmp_path: Path
) -> None:
    # All of the text encoders' layers or none: diffusers 0.42.1 draws something else for a file that has only
    # some of them (each weight of ours is compared with the formula in test_patcher.py).
    places = files.attention_places()
    some = [place for place in places if place[0] == "unet"][::2]
    stack = {
        files.save(tmp_path / "one.safetensors", files.kohya_tensors(places, seed=1, rank=8, alpha=4)): 0.6,
        peft_file(tmp_path, 2): 0.8,
        files.save(tmp_path / "two.safetensors", files.kohya_tensors(some, seed=3, alpha=None)): -0.5,
    }
    before = plain(oracle)
    assert np.abs(ours(engine, outputs, stack) - diffusers_with(oracle, stack)).max() <= 1
    assert np.abs(ours(engine, outputs, {}) - before).max() <= 1


def test_eight_adapters_at_once(engine: Engine, outputs: OutputFolder, tmp_path: Path) -> None:
    places = files.attention_places()
    stack = {
        files.save(tmp_path / f"{n}.safetensors", files.kohya_tensors(places[n::4], seed=n)): 0.2
        for n in range(8)
    }
    forwards = ours(engine, outputs, stack)
    ours(engine, outputs, {})
    assert np.array_equal(forwards, ours(engine, outputs, dict(reversed(stack.items()))))


def test_a_file_replaced_while_the_job_waited_is_refused(
    engine: Engine, outputs: OutputFolder, tmp_path: Path
) -> None:
    places = files.attention_places()[:3]
    file = files.save(tmp_path / "a.safetensors", files.kohya_tensors(places, seed=1))
    use = AdapterUse("a", str(file), sha256_of(file), "", 1.0, 1.0)
    files.save(file, files.kohya_tensors(places, seed=2))
    with pytest.raises(AdapterInvalid, match="replaced while the job waited"):
        engine.run(dataclasses.replace(make_request(), adapters=(use,)), outputs, ignore)
    shutil.rmtree(tmp_path)
