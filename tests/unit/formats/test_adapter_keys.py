"""Names of modules as each trainer writes them, for one and the same module."""

from __future__ import annotations

import pytest

from ecurie.formats.adapter_keys import Names, Placed
from tests.unit.adapters import files

PATH = "down_blocks.1.attentions.0.transformer_blocks.0.attn1.to_q"
KOHYA = PATH.replace(".", "_")
SGM = "input_blocks.4.1.transformer_blocks.0.attn1.to_q"
FC1 = "encoder.layers.1.mlp.fc1"


@pytest.fixture(scope="module")
def names() -> Names:
    return Names(files.demo_inventory())


@pytest.mark.parametrize(
    ("key", "naming", "role"),
    [
        (f"lora_unet_{KOHYA}.lora_up.weight", "kohya", "up"),
        (f"lora_unet_{SGM.replace('.', '_')}.lora_up.weight", "kohya (SGM blocks)", "up"),
        (f"lycoris_{KOHYA}.lokr_w1", "kohya", "lokr_w1"),
        (f"unet.{PATH}.lora_A.weight", "PEFT", "down"),
        (f"base_model.model.{PATH}.oft_R.weight", "PEFT", "oft_R"),
        (f"base_model.model.{PATH}.ia3_l", "PEFT", "ia3_l"),
        (
            f"unet.{PATH.removesuffix('.to_q')}.processor.to_q_lora.up.weight",
            "diffusers (attention processors)",
            "up",
        ),
        # OneTrainer: as it names them itself; as its converter to the older form leaves LoHa; and OMI's.
        (f"lora_unet.{PATH}.lora_up.weight", "OneTrainer", "up"),
        (f"lora_unet.{PATH}.dora_scale", "OneTrainer", "dora_scale"),
        (f"lora_unet_{KOHYA.removesuffix('_to_q')}.to_q.hada_w1_a", "OneTrainer", "hada_w1_a"),
        (f"unet.{SGM}.lora_down.weight", "OneTrainer (OMI)", "down"),
        (f"unet.{SGM}.alpha", "OneTrainer (OMI)", "alpha"),
    ],
)
def test_a_module_of_the_unet_is_found_under_every_name(
    names: Names, key: str, naming: str, role: str
) -> None:
    placed = names.place(key)
    assert isinstance(placed, Placed)
    assert (placed.naming, placed.part, placed.path, placed.role) == (naming, "unet", PATH, role)


@pytest.mark.parametrize(("number", "clip"), [(1, "clip_l"), (2, "clip_g")])
@pytest.mark.parametrize("prefix", ["", "text_model."])
def test_a_module_of_a_text_encoder_is_found_under_every_name(
    names: Names, number: int, clip: str, prefix: str
) -> None:
    part = "text_encoder" if number == 1 else "text_encoder_2"
    name = f"{prefix}{FC1}"
    for start in (
        f"lora_te{number}.{name}",
        f"lora_te{number}_{name.replace('.', '_')}",
        f"{clip}.{name}",
        f"{part}.{name}",
    ):
        placed = names.place(f"{start}.lora_up.weight")
        assert placed is not None, start
        assert (placed.part, placed.path) == (part, FC1)


@pytest.mark.parametrize(
    "key",
    [
        f"lora_unet.{PATH}.nothing",
        "lora_unet.down_blocks.9.lora_up.weight",
        f"lora_te3_{FC1}.lora_up.weight",
        f"clip_h.{FC1}.lora_up.weight",
        f"clip_l.{PATH}.lora_up.weight",
        "unet.input_blocks.99.0.lora_up.weight",
        "lora_up.weight",
        "",
    ],
)
def test_what_names_no_module_has_no_place(names: Names, key: str) -> None:
    assert names.place(key) is None
