"""Block weights as the A1111 extension sd-webui-lora-block-weight writes them."""

from __future__ import annotations

import math
import re
from typing import Any

import pytest

from ecurie.formats.blocks import BLOCKS, LISTS, blocks_of, check_blocks, notes_on_blocks, settle_blocks
from tests.unit.adapters import files

# The names that the extension itself gives to the numbers (BLOCKID12 and BLOCKID17).
SDXL = "BASE IN04 IN05 IN07 IN08 M00 OUT00 OUT01 OUT02 OUT03 OUT04 OUT05".split()
SD15 = "BASE IN01 IN02 IN04 IN05 IN07 IN08 M00 OUT03 OUT04 OUT05 OUT06 OUT07 OUT08 OUT09 OUT10 OUT11".split()


def test_lists_name_the_blocks_that_the_extension_names() -> None:
    assert [*LISTS[12]] == SDXL
    assert [*LISTS[17]] == SD15
    assert len(LISTS[20]) == 20
    assert len(LISTS[26]) == 26
    assert {*SDXL} < {*LISTS[20]} < {*LISTS[26]}


def test_a_list_numbers_its_blocks_and_leaves_the_others_at_zero_as_the_extension_does() -> None:
    numbers = [(n - 6) / 10 for n in range(12)]
    expected = dict.fromkeys(BLOCKS, 0.0) | dict(zip(SDXL, numbers, strict=True))
    assert settle_blocks(numbers) == expected
    old = settle_blocks([1.0] * 8 + [0.5] * 9)
    assert (old["OUT00"], old["OUT03"], old["OUT08"]) == (0, 0.5, 0.5)
    assert "M00" not in old


@pytest.mark.parametrize("given", [[1] * 20, [1.0] * 26, {}, {"BASE": 1, "IN": 1, "M": 1, "OUT": 1}])
def test_all_ones_is_nothing(given: Any) -> None:
    assert check_blocks(given) is given
    assert settle_blocks(given) == {}


def test_the_longest_name_of_a_mapping_decides_and_unnamed_blocks_stay_one() -> None:
    settled = settle_blocks({"IN08": 0.5, "IN": 0, "OUT0": 2, "m00": -1})
    assert settled == {f"IN{n:02}": 0 for n in range(8)} | {"IN08": 0.5, "M00": -1} | {
        f"OUT{n:02}": 2 for n in range(9)
    }


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ([1.0] * 11, "11 numbers: a list of blocks has 12, 17, 20, 26"),
        ([], "0 numbers"),
        ([1.0] * 11 + [math.nan], "OUT05 should be a finite number"),
        ([1.0] * 11 + ["1"], "OUT05 should be a finite number"),
        ([True] * 12, "BASE should be a finite number"),
        ([-4.1] + [1.0] * 11, "BASE should be from -4 to 4, not -4.1"),
        ({"IN09": 1}, "no block 'IN09': SDXL has BASE, IN00"),
        ({"": 1}, "no block ''"),
        ({"IN": math.inf}, "IN should be a finite number"),
        ("1,1", "a list of numbers or a mapping"),
        (0.5, "a list of numbers or a mapping"),
    ],
)
def test_what_is_no_set_of_blocks_is_refused(given: Any, reason: str) -> None:
    with pytest.raises(ValueError, match=re.escape(reason)):
        check_blocks(given)


def test_what_a_list_does_not_do_is_told() -> None:
    touched = {"BASE", "IN01", "IN04", "M00", "OUT00"}
    assert notes_on_blocks([1.0] * 12, touched) == ["a list of 12 numbers leaves out IN01: they get 0"]
    assert notes_on_blocks([1.0] * 12, touched - {"IN01"}) == []
    ignored, left_out = notes_on_blocks([1.0] * 15 + [0.5, 1.0], touched)
    assert ignored == "SDXL has no block OUT10: their numbers are ignored"
    assert "OUT00" in left_out
    assert notes_on_blocks({"IN": 0}, touched) == []


def test_every_unet_module_has_one_of_sdxl_s_blocks() -> None:
    paths = frozenset(files.demo_inventory()["unet"])
    named = blocks_of(paths)
    assert named.keys() == paths
    assert {*named.values()} == {*BLOCKS, "outside"} - {"BASE"}
    assert named["time_embedding.linear_1"] == named["conv_out"] == "outside"
    assert named["down_blocks.1.attentions.0.proj_in"] == "IN04"
    assert named["mid_block.attentions.0.proj_in"] == "M00"
    assert named["up_blocks.1.attentions.2.proj_in"] == "OUT05"
