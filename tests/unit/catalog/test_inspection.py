"""What a person is told of files, adapters and models."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

from bench.lycoris_oracle import CASES, trained
from ecurie.catalog.catalog import BUILTIN, Catalog
from ecurie.catalog.inspection import InspectedAdapter, InspectedModel, inspect_anything
from ecurie.errors import UnknownAdapter, WeightsInvalid, WeightsMissing
from ecurie.formats.adapter_file import read_adapter
from ecurie.formats.blocks import block_of_name, blocks_of
from ecurie.formats.identify import Kind
from ecurie.formats.inspection import Inspection
from ecurie.formats.sgm_names import layers_per_block, sgm_names
from tests.conftest import DEMO_FOLDER
from tests.unit.adapters import files
from tests.unit.adapters.test_lycoris_files import file_state

DEMO_ADAPTERS = DEMO_FOLDER.parent / "adapters"


@pytest.fixture
def catalog(tmp_path: Path) -> Catalog:
    return Catalog(BUILTIN["demo"], tmp_path)


def adapter(catalog: Catalog, target: object, model: str | None = None) -> InspectedAdapter:
    found = inspect_anything(catalog, str(target), model)
    assert isinstance(found, InspectedAdapter)
    return found


def test_an_adapter_of_the_catalogue_is_described_and_checked(catalog: Catalog) -> None:
    found = adapter(catalog, "cyberpunk-style")
    assert (found.check.model, found.check.fits, found.check.reason) == ("sdxl-base", True, None)
    assert (found.triggers.words, found.triggers.source) == (("cyberpunk", "neon"), "catalogue")
    content = found.content.adapter
    assert content is not None
    assert content.algorithms == {"LoKr": content.modules}
    assert found.warnings == ()
    (note,) = adapter(catalog, "cyberpunk-style", "pony-xl-v6").warnings
    assert "not among the adapters that pony-xl-v6" in note


def test_a_loose_file_takes_its_triggers_from_its_metadata(catalog: Catalog) -> None:
    found = adapter(catalog, DEMO_ADAPTERS / "character-detailed.safetensors")
    assert (found.triggers.words, found.triggers.source) == (
        ("detailed character",),
        "modelspec.trigger_phrase",
    )


def test_hashes_are_those_that_other_tools_show(catalog: Catalog) -> None:
    file = DEMO_ADAPTERS / "style-anime.safetensors"
    content, data = adapter(catalog, file).content, file.read_bytes()
    header = int.from_bytes(data[:8], "little")
    assert content.sha256 == hashlib.sha256(data).hexdigest()
    assert content.auto_v2 == content.sha256[:10]
    assert content.auto_v3 == hashlib.sha256(data[8 + header :]).hexdigest()[:12]
    assert content.bytes == len(data)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16, torch.int64])
def test_ranks_and_alphas_are_counted(tmp_path: Path, catalog: Catalog, dtype: torch.dtype) -> None:
    places = files.attention_places()
    tensors = files.kohya_tensors(places[:5], rank=4, alpha=3.0)
    tensors |= files.kohya_tensors(places[5:8], rank=8, alpha=None)
    tensors = {key: value.to(dtype) if "alpha" in key else value for key, value in tensors.items()}
    content = adapter(catalog, files.save(tmp_path / "a.safetensors", tensors)).content.adapter
    assert content is not None
    assert (content.ranks, content.alphas) == ({4: 5, 8: 3}, {"3": 5, "as the rank": 3})
    assert (content.naming, content.others) == ("kohya", 0)


@pytest.mark.parametrize("name", CASES)
def test_files_that_lycoris_writes_are_described_as_they_are_read(
    tmp_path: Path, catalog: Catalog, name: str
) -> None:
    """What is told from names alone is what the check against the model's weights finds."""
    algorithm, kind, options = CASES[name]
    path = "down_blocks.1.attentions.0.transformer_blocks.0.attn2.to_k"
    outputs, inputs = files.demo_inventory()["unet"][path].shape
    rank = 8 if algorithm == "BOFT" else 4
    module = trained(
        kind, nn.Linear(inputs, outputs, bias=False), 1.0, {"lora_dim": rank, "alpha": 2.0} | options
    )
    key = f"lora_unet_{path.replace('.', '_')}"
    tensors = {f"{key}.{role}": tensor for role, tensor in file_state(module).items()}
    found = adapter(catalog, files.save(tmp_path / "a.safetensors", tensors))
    assert found.content.adapter is not None
    described = read_adapter(Path(found.content.file), files.demo_inventory())
    assert found.content.adapter.algorithms == described.algorithms()
    assert found.content.adapter.ranks == described.ranks()
    assert found.content.adapter.naming == described.naming


@pytest.mark.parametrize("flat", [True, False])
def test_blocks_by_name_alone_are_those_of_the_whole_mapping(flat: bool) -> None:
    paths = frozenset(files.demo_inventory()["unet"])
    layers, sgm = layers_per_block(set(paths)), {path: name for name, path in sgm_names(set(paths)).items()}
    for path, block in blocks_of(paths).items():
        for name in (path, sgm[path]):
            shown = block_of_name(name.replace(".", "_") if flat else name, layers)
            assert shown == block


def test_blocks_are_counted_by_part(tmp_path: Path, catalog: Catalog) -> None:
    places = [place for place in files.attention_places() if place[0] != "unet"][:3]
    places += [place for place in files.attention_places() if place[1].startswith("mid_block")][:2]
    content = adapter(catalog, files.save(tmp_path / "a.safetensors", files.kohya_tensors(places))).content
    assert content.adapter is not None
    assert content.adapter.blocks == {"text_encoder": {"BASE": 3}, "unet": {"M00": 2}}


SD1_LORA = {
    "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn2_to_k.lora_down.weight": (4, 768),
    "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn2_to_k.lora_up.weight": (320, 4),
    "lora_te_text_model_encoder_layers_0_mlp_fc1.lora_down.weight": (4, 768),
    "lora_te_text_model_encoder_layers_0_mlp_fc1.lora_up.weight": (3072, 4),
}


def saved(file: Path, shapes: dict[str, tuple[int, ...]], metadata: dict[str, str] | None = None) -> Path:
    return files.save(file, {key: torch.zeros(shape) for key, shape in shapes.items()}, metadata)


def test_an_adapter_of_another_family_is_described_and_said_not_to_fit(
    tmp_path: Path, catalog: Catalog
) -> None:
    found = adapter(catalog, saved(tmp_path / "a.safetensors", SD1_LORA))
    assert found.content.identity.family == "Stable Diffusion 1.5"
    assert found.check.fits is False
    assert "Stable Diffusion 1.5" in (found.check.reason or "")
    assert found.check.remedy == "use an adapter that was trained for SDXL"
    assert found.content.adapter is not None
    assert found.content.adapter.blocks == {"text_encoder": {"BASE": 1}, "unet": {"IN01": 1}}


def test_without_the_model_an_adapter_is_described_unchecked(tmp_path: Path) -> None:
    found = adapter(Catalog(BUILTIN["default"], tmp_path), DEMO_ADAPTERS / "ink-sketch.safetensors")
    assert (found.check.fits, found.check.remedy) == (None, "run: ecurie pull sdxl-base")
    assert found.content.adapter is not None
    assert found.content.adapter.algorithms == {"LoHa": found.content.adapter.modules}


def test_a_checkpoint_file_says_what_it_holds_and_lacks(tmp_path: Path, catalog: Catalog) -> None:
    shapes: dict[str, tuple[int, ...]] = {
        "model.diffusion_model.input_blocks.4.1.transformer_blocks.0.attn2.to_k.weight": (8, 2048),
        "first_stage_model.decoder.conv_in.weight": (4, 4, 3, 3),
    }
    found = inspect_anything(catalog, str(saved(tmp_path / "model.safetensors", shapes)))
    assert isinstance(found, Inspection)
    assert (found.identity.kind, found.identity.family) == (Kind.CHECKPOINT, "SDXL")
    assert found.identity.components == ("UNet", "VAE")
    assert found.identity.missing == ("text encoder", "second text encoder")


@pytest.mark.parametrize("target", ["sdxl-base", str(DEMO_FOLDER)])
def test_a_model_folder_is_described_part_by_part(catalog: Catalog, target: str) -> None:
    found = inspect_anything(catalog, target)
    assert isinstance(found, InspectedModel)
    assert set(found.components) == {"unet", "vae", "text_encoder", "text_encoder_2"}
    assert found.components["vae"][0].identity.kind is Kind.VAE
    assert found.lineage == "SDXL"


CATALOGUE = """
defaults: {{model: base}}
models:
  base: {{name: Base, source: "{folder}", lineage: {lineage}}}
  file: {{name: File, source: ./model.safetensors}}
  away: {{name: Away, source: "hf:owner/name/model.safetensors"}}
adapters:
  own: {{name: Own, source: ./own.safetensors, lineage: Pony V6}}
  other: {{name: Other, source: ./other.safetensors, trigger_words: []}}
"""


@pytest.fixture
def stocked(tmp_path: Path) -> Callable[[str], Catalog]:
    def make(lineage: str) -> Catalog:
        (tmp_path / "ecurie.yaml").write_text(CATALOGUE.format(folder=DEMO_FOLDER, lineage=lineage))
        tensors = files.kohya_tensors(files.attention_places()[:2])
        files.save(tmp_path / "own.safetensors", tensors)
        written = {"ss_sd_model_name": "noobaiXL.safetensors", "modelspec.trigger_phrase": "mira"}
        files.save(tmp_path / "other.safetensors", tensors, written)
        saved(tmp_path / "model.safetensors", {"first_stage_model.x": (1,)})
        return Catalog(tmp_path / "ecurie.yaml", tmp_path)

    return make


@pytest.mark.parametrize(
    ("lineage", "own", "other"),
    [
        ("Pony", 0, 1),
        ("SDXL", 1, 1),
        ("Illustrious", 1, 0),
        ("NoobAI", 1, 0),
        ("Something of mine", 1, 1),
    ],
)
def test_an_adapter_of_another_lineage_brings_a_note(
    stocked: Callable[[str], Catalog], lineage: str, own: int, other: int
) -> None:
    catalog = stocked(lineage)
    assert len(adapter(catalog, "own").warnings) == own
    warnings = adapter(catalog, "other").warnings
    assert len(warnings) == other
    for warning in warnings:
        assert warning.startswith("trained on NoobAI (says ss_sd_model_name); base is ")


def test_an_empty_list_of_trigger_words_is_a_word_too(stocked: Callable[[str], Catalog]) -> None:
    triggers = adapter(stocked("SDXL"), "other").triggers
    assert (triggers.words, triggers.source) == ((), "catalogue")


def test_a_model_that_is_one_file_is_described_from_the_file(stocked: Callable[[str], Catalog]) -> None:
    found = inspect_anything(stocked("SDXL"), "file")
    assert isinstance(found, Inspection)
    assert found.identity.kind is Kind.CHECKPOINT
    with pytest.raises(WeightsMissing) as caught:
        inspect_anything(stocked("SDXL"), "away")
    assert caught.value.remedy == "run: ecurie pull away"


def test_what_is_nowhere_names_what_there_is(catalog: Catalog) -> None:
    with pytest.raises(UnknownAdapter) as caught:
        inspect_anything(catalog, "nope")
    assert "style-anime" in (caught.value.remedy or "")
    assert "pony-xl-v6" in (caught.value.remedy or "")


def test_a_damaged_file_is_refused(tmp_path: Path, catalog: Catalog) -> None:
    file = tmp_path / "a.safetensors"
    file.write_bytes((DEMO_ADAPTERS / "style-anime.safetensors").read_bytes()[:-1])
    with pytest.raises(WeightsInvalid, match="too short"):
        inspect_anything(catalog, str(file))


def test_the_tags_of_a_file_without_a_trigger_phrase_are_candidates(tmp_path: Path, catalog: Catalog) -> None:
    written = {"ss_tag_frequency": json.dumps({"set": {"mira": 3}})}
    tensors = files.kohya_tensors(files.attention_places()[:1])
    found = adapter(catalog, files.save(tmp_path / "a.safetensors", tensors, written))
    assert found.triggers.words == ()
    assert [candidate.text for candidate in found.content.about.candidates] == ["mira"]
