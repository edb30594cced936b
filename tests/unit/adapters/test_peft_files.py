"""The oracle: the merged weights of `peft` itself, on files that PEFT and diffusers save themselves."""

from __future__ import annotations

import contextlib
import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import UNet2DConditionModel
from hypothesis import given, settings
from hypothesis import strategies as st
from peft import LoHaConfig, LoraConfig, OFTConfig
from safetensors.torch import load_file, save_file

from bench import peft_oracle
from bench.peft_oracle import CASES, UNET_PLACES, relative_error
from ecurie.domain import AdapterUse, GenerationRequest
from ecurie.engine.engine import Engine
from ecurie.errors import AdapterInvalid, NotBuiltYet, RequestError
from ecurie.formats.adapter_file import read_adapter
from ecurie.formats.hashes import sha256_of
from ecurie.formats.peft_config import config_sha256_of
from ecurie.images.files import OutputFolder
from tests.conftest import DEMO_FOLDER
from tests.unit.conftest import ignore, make_request

TARGETS = list(UNET_PLACES.values())


@pytest.mark.parametrize(("rank", "alpha", "multiplier"), [(4, 6.0, 1.0), (8, 2.0, 0.3), (4, 1.0, -0.7)])
@pytest.mark.parametrize("name", CASES)
def test_a_file_gives_the_weights_that_peft_merges(
    name: str, rank: int, alpha: float, multiplier: float, tmp_path: Path
) -> None:
    errors = peft_oracle.errors(name, rank, alpha, multiplier, tmp_path)
    assert errors.keys() == {"linear", "1×1 conv", "3×3 conv", "text encoder"}
    assert max(errors.values()) < 1e-5, errors


@pytest.mark.parametrize(("config_type", "alpha"), [(LoraConfig, "lora_alpha"), (LoHaConfig, "alpha")])
def test_patterns_of_ranks_and_alphas_are_followed(config_type: Any, alpha: str, tmp_path: Path) -> None:
    patterns = {"conv1": 8, r"^down_blocks\.1.*to_k": 2}
    config = config_type(
        target_modules=TARGETS,
        r=4,
        rank_pattern=patterns,
        alpha_pattern={"conv1": 3, "to_k": 12},
        **{alpha: 5},
    )
    model = peft_oracle.trained("unet", config)
    described, adapter = peft_oracle.ours(peft_oracle.save_folder(model, tmp_path))
    assert sorted(module.rank for module in described.modules) == [2, 4, 8]
    theirs = peft_oracle.merged(model, config, 1.0)
    for (_, name), (_, got) in peft_oracle.changed(adapter, 1.0).items():
        assert relative_error(got, theirs[name].detach()) < 1e-5, name


@pytest.mark.parametrize("name", ["LoKr, whole", "OFT", "(IA)^3, on inputs", "DoRA"])
def test_a_file_that_diffusers_saves_for_the_unet_alone_says_the_same(name: str, tmp_path: Path) -> None:
    """`save_lora_adapter` puts PEFT's configuration into the metadata without a part's name."""
    config = peft_oracle.config_of(name, TARGETS, 4, 6.0)
    unet = UNet2DConditionModel.from_pretrained(DEMO_FOLDER / "unet")
    unet.add_adapter(config)
    with torch.no_grad():
        for key, parameter in unet.named_parameters():
            if any(mark in key for mark in peft_oracle.MARKS):
                parameter.add_(0.1 * torch.randn_like(parameter))
    unet.save_lora_adapter(tmp_path, weight_name="u.safetensors")
    _, adapter = peft_oracle.ours(tmp_path / "u.safetensors")
    pristine = UNet2DConditionModel.from_pretrained(DEMO_FOLDER / "unet").get_parameter
    with torch.no_grad():
        for place in UNET_PLACES.values():
            layer = unet.get_submodule(place)
            layer.merge()
            before = pristine(f"{place}.weight")
            got = before + adapter.deltas["unet", place, "weight"].of(before, 1.0)
            assert relative_error(got, layer.get_base_layer().weight) < 1e-5, place


def test_before_peft_0_18_the_last_term_of_the_series_counts_twice(tmp_path: Path) -> None:
    """Those versions wrote no `peft_version`; PEFT itself warns that their files turn otherwise now."""
    config = OFTConfig(target_modules=TARGETS, oft_block_size=8, num_cayley_neumann_terms=4)
    file = peft_oracle.save_folder(peft_oracle.trained("unet", config), tmp_path)
    place = UNET_PLACES["linear"]
    edit_config(file, peft_version=None)
    _, adapter = peft_oracle.ours(file)
    triangles = load_file(file)[f"base_model.model.{place}.oft_R.weight"].double()
    blocks = torch.zeros(len(triangles), 8, 8, dtype=torch.float64)
    rows, columns = torch.triu_indices(8, 8, 1)
    blocks[:, rows, columns] = triangles
    skew = blocks - blocks.transpose(1, 2)
    series = torch.eye(8, dtype=torch.float64) + 2 * skew + 2 * skew @ skew + 2 * skew @ skew @ skew
    pristine = torch.randn(5, 64, dtype=torch.float64)
    expected = pristine @ torch.block_diag(*series).T
    got = pristine + adapter.deltas["unet", place, "weight"].of(pristine.float(), 1.0)
    assert relative_error(got, expected) < 1e-6


def edit_config(file: Path, **fields: Any) -> None:
    config = file.with_name("adapter_config.json")
    config.write_text(json.dumps(json.loads(config.read_text()) | fields))


def saved(name: str, folder: Path, targets: list[str] = TARGETS) -> Path:
    config = peft_oracle.config_of(name, targets, 4, 6.0)
    return peft_oracle.save_folder(peft_oracle.trained("unet", config), folder)


@pytest.mark.parametrize("name", ["LoRA", "LoHa", "LoKr", "OFT"])
def test_a_file_without_its_configuration_is_refused(name: str, tmp_path: Path) -> None:
    file = saved(name, tmp_path)
    file.with_name("adapter_config.json").unlink()
    with pytest.raises(AdapterInvalid, match="PEFT's configuration, which is not with the file") as refused:
        read_adapter(file, peft_oracle.inventory())
    assert "adapter_config.json" in str(refused.value.remedy)


def test_a_configuration_is_not_taken_for_a_file_of_another_name(tmp_path: Path) -> None:
    file = saved("LoHa", tmp_path)
    with pytest.raises(AdapterInvalid, match="not with the file"):
        read_adapter(file.rename(tmp_path / "other.safetensors"), peft_oracle.inventory())


def test_the_axis_of_ia3_is_told_from_its_shape_or_the_file_refused(tmp_path: Path) -> None:
    file = saved("(IA)^3", tmp_path)
    _, adapter = peft_oracle.ours(file)
    file.with_name("adapter_config.json").unlink()
    assert {place: delta.on_input for place, delta in peft_oracle.ours(file)[1].deltas.items()} == {  # type: ignore[attr-defined]
        place: delta.on_input  # type: ignore[attr-defined]
        for place, delta in adapter.deltas.items()
    }
    square = saved("(IA)^3", tmp_path / "square", ["down_blocks.0.resnets.0.conv2"])
    square.with_name("adapter_config.json").unlink()
    with pytest.raises(AdapterInvalid, match="scales inputs or outputs"):
        read_adapter(square, peft_oracle.inventory())


@pytest.mark.parametrize(
    ("fields", "error", "what"),
    [
        ({"modules_to_save": ["conv_in"]}, NotBuiltYet, "modules_to_save"),
        ({"bias": "all"}, NotBuiltYet, "bias"),
        ({"lora_bias": True}, NotBuiltYet, "lora_bias"),
        ({"use_bdlora": {"nblocks": 2}}, NotBuiltYet, "use_bdlora"),
        ({"peft_type": "VERA"}, NotBuiltYet, "kind VERA"),
        ({"init_lora_weights": "pissa_niter_4"}, NotBuiltYet, "pissa_niter_4"),
        ({"use_dora": True}, AdapterInvalid, "no magnitude"),
        ({"lora_alpha": "strong"}, AdapterInvalid, "lora_alpha = 'strong'"),
        ({"lora_alpha": float("nan")}, AdapterInvalid, "lora_alpha = nan"),
        ({"lora_alpha": 10**400}, AdapterInvalid, "lora_alpha = 1000"),
        ({"alpha_pattern": ["conv1"]}, AdapterInvalid, "no mapping"),
        ({"alpha_pattern": {"(a|a)*b": 2}}, NotBuiltYet, "not plain enough"),
        ({"alpha_pattern": {".*.*.*.*x": 2}}, NotBuiltYet, "not plain enough"),
        ({"alpha_pattern": {"*": 2}}, AdapterInvalid, "the pattern"),
    ],
)
def test_configurations_that_cannot_be_followed_are_refused(
    fields: dict[str, Any], error: type[Exception], what: str, tmp_path: Path
) -> None:
    file = saved("LoRA", tmp_path)
    edit_config(file, **fields)
    with pytest.raises(error, match=what):
        read_adapter(file, peft_oracle.inventory())


@pytest.mark.parametrize("text", ["{", "[]", "[" * 100_000, '"LORA"'])
def test_metadata_that_is_no_configuration_is_refused(text: str, tmp_path: Path) -> None:
    file = saved("LoRA", tmp_path)
    save_file(load_file(file), tmp_path / "m.safetensors", {"lora_adapter_metadata": text})
    with pytest.raises(AdapterInvalid, match="PEFT configuration is no"):
        read_adapter(tmp_path / "m.safetensors", peft_oracle.inventory())


def test_a_configuration_replaced_while_the_job_waited_is_refused(
    engine: Engine, outputs: OutputFolder, tmp_path: Path
) -> None:
    """And the same tensors with another configuration are another adapter, though their hash is the same."""
    file = saved("LoHa", tmp_path)

    def request_now() -> GenerationRequest:
        use = AdapterUse("a", str(file), sha256_of(file), "", 1.0, 1.0, config_sha256=config_sha256_of(file))
        return dataclasses.replace(make_request(), adapters=(use,))

    pictures = []
    for alpha in (6, 60):
        edit_config(file, alpha=alpha)
        result = engine.run(request_now(), outputs, ignore)
        pictures.append((outputs.storage.folder / result.images[0].filename).read_bytes())
    assert pictures[0] != pictures[1]
    edit_config(file, alpha=7)
    waiting = request_now()
    edit_config(file, alpha=8)
    with pytest.raises(AdapterInvalid, match="replaced while the job waited"):
        engine.run(waiting, outputs, ignore)


@pytest.mark.parametrize(
    "fields",
    [
        {"num_cayley_neumann_terms": 10**9},
        {"num_cayley_neumann_terms": 0},
        {"num_cayley_neumann_terms": None},
        {"coft": True, "eps": -1},
    ],
)
def test_series_and_constraints_that_cannot_be_are_refused(fields: dict[str, Any], tmp_path: Path) -> None:
    file = saved("OFT, Neumann", tmp_path)
    edit_config(file, **fields)
    with pytest.raises(AdapterInvalid, match="not a number that can be"):
        read_adapter(file, peft_oracle.inventory())


FIELDS = (
    "r",
    "alpha",
    "lora_alpha",
    "alpha_pattern",
    "rank_pattern",
    "peft_type",
    "peft_version",
    "bias",
    "coft",
)
FIELDS += (
    "eps",
    "use_cayley_neumann",
    "num_cayley_neumann_terms",
    "feedforward_modules",
    "init_lora_weights",
)
FIELDS += ("use_rslora", "use_dora", "modules_to_save", "unet.r", "text_encoder.alpha", "unet.peft_type")
ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=20), inner, max_size=3),
    max_leaves=5,
)
KINDS = st.sampled_from(["LORA", "LOHA", "LOKR", "OFT", "IA3"])


@pytest.fixture(scope="module")
def one_of_each(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return [
        saved(name, tmp_path_factory.mktemp("fuzz"))
        for name in ("LoRA", "LoHa", "LoKr, whole", "OFT", "(IA)^3")
    ]


@settings(max_examples=300, deadline=None)
@given(st.integers(0, 4), st.dictionaries(st.sampled_from(FIELDS), ANY_JSON | KINDS), st.none() | KINDS)
def test_configurations_of_any_content_end_in_an_error_of_ours_or_are_followed(
    one_of_each: list[Path], which: int, fields: dict[str, Any], kind: str | None
) -> None:
    file = one_of_each[which]
    content = fields | ({"peft_type": kind} if kind else {})
    file.with_name("adapter_config.json").write_text(json.dumps(content))
    with contextlib.suppress(RequestError):
        peft_oracle.ours(file)
