"""The oracles: transformers' CLIPTokenizer for ids, compel's provider for chunks."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from compel.embeddings_provider import EmbeddingsProvider, SplitLongTextMode
from transformers import CLIPTokenizer

from ecurie.errors import WeightsInvalid
from ecurie.formats.clip_tokens import ClipTokenizer, clip_tokenizer
from ecurie.formats.prompt_parts import Fragment
from tests.conftest import DEMO_FOLDER

FOLDERS = [DEMO_FOLDER / "tokenizer", DEMO_FOLDER / "tokenizer_2"]
TEXTS = [
    "red apple",
    "A CAT's\n dog, it's 10% 猫 🍎 e\u0301",
    "<|endoftext|> x",
    "!!! wow!!",
    "",
    "\0 a",
    "ﬁ½İß",
]


@pytest.fixture(scope="module", params=FOLDERS, ids=lambda folder: str(folder.name))
def both(request: pytest.FixtureRequest) -> tuple[ClipTokenizer, Any]:
    return clip_tokenizer(request.param), CLIPTokenizer.from_pretrained(request.param)


def test_ids_equal_those_of_transformers(both: tuple[ClipTokenizer, Any]) -> None:
    ours, theirs = both
    chance = random.Random(3)
    signs = [*range(32, 127), *range(0xA0, 0x2000, 7), *range(0x1F300, 0x1FAFF, 11), 32, 32, 33]
    texts = [*TEXTS, *("".join(map(chr, chance.choices(signs, k=20))) for _ in range(300))]
    for text in texts:
        assert [49406, *ours.ids(text), 49407] == theirs(text)["input_ids"], text


@pytest.mark.parametrize(
    "text",
    ["apple " * 200, "red apple, " * 60, "a red apple on a plate. " * 30, "x" * 900, "apple " * 75, ""],
)
def test_long_texts_are_parted_as_compel_does(text: str, both: tuple[ClipTokenizer, Any]) -> None:
    ours, theirs = both
    provider = EmbeddingsProvider(
        theirs, None, device="cpu", truncate=False, split_long_text_mode=SplitLongTextMode.SENTENCES
    )
    weights = [1.0, 1.5]
    ids, _, _ = provider.get_token_ids_and_expand_weights([text, "the end"], weights, "cpu")
    chunks = ours.chunks((Fragment(text), Fragment("the end", 1.5)))
    padded = []
    for chunk in chunks:
        whole = [49406, *(token.id for token in chunk), 49407]
        padded += whole + [theirs.pad_token_id] * (77 - len(whole))
    assert padded == ids.tolist()
    assert {token.weight for token in chunks[-1][-2:]} == {1.5}


def test_an_embedding_is_a_run_of_tokens_that_is_never_parted() -> None:
    tokenizer = clip_tokenizer(FOLDERS[0])
    fragments = (Fragment("apple " * 70 + "§"),)
    first, second = tokenizer.chunks(fragments, {"§": ("mystyle", 20)}.get)
    assert len(first) == 70
    assert [(token.id, token.text) for token in second] == [(None, "mystyle")] * 20


def test_no_torch_is_loaded() -> None:
    program = "import sys, ecurie.requests.preview; print('torch' in sys.modules, 'compel' in sys.modules)"
    shown = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert shown.stdout.split() == ["False", "False"]


def test_a_damaged_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(WeightsInvalid, match="no usable tokenizer"):
        clip_tokenizer(tmp_path)
    (tmp_path / "vocab.json").write_text(json.dumps({"a": 0}))
    (tmp_path / "merges.txt").write_text("x y z\n")
    with pytest.raises(WeightsInvalid, match="no usable tokenizer"):
        clip_tokenizer(tmp_path)
