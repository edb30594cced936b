"""The real CLIP vocabulary, and training with the part of it that captions use."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import torch
from torch import Tensor, nn
from transformers import CLIPTokenizer

from demo import emoji

VOCABULARY = Path(__file__).parent / "vocabulary"


def make_tokenizers() -> tuple[CLIPTokenizer, CLIPTokenizer]:
    """SDXL's two tokenizers: one vocabulary, padded with the end token and with `!`."""
    return (
        CLIPTokenizer.from_pretrained(VOCABULARY, pad_token="<|endoftext|>", model_max_length=77),
        CLIPTokenizer.from_pretrained(VOCABULARY, pad_token="!", model_max_length=77),
    )


def save_tokenizer(folder: Path, pad_token: str) -> None:
    """Write the classic files (vocabulary and merges): a third of the size of `tokenizer.json`."""
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(VOCABULARY, folder)
    settings = {
        "tokenizer_class": "CLIPTokenizer",
        "model_max_length": 77,
        "bos_token": "<|startoftext|>",
        "eos_token": "<|endoftext|>",
        "unk_token": "<|endoftext|>",
        "pad_token": pad_token,
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(settings, indent=2) + "\n")


def used_token_ids(tokenizer: CLIPTokenizer, names: list[str]) -> Tensor:
    """The sorted ids of every token that a caption of these emoji can hold."""
    phrases = [phrase for name in names for phrase in emoji.subjects(name)]
    texts = [*phrases, *emoji.TEMPLATES, *emoji.FILLERS, ",", " , "]
    ids = {i for text in texts for i in tokenizer(text).input_ids}
    return torch.tensor(sorted(ids | {tokenizer.pad_token_id}))


class UsedTokens(nn.Module):
    """Stands in for an encoder's token table while training, with a row for used tokens only.

    Rows of tokens that no caption holds would only cost optimizer time and decay towards zero.
    """

    def __init__(self, full: nn.Embedding, ids: Tensor):
        super().__init__()
        rows = torch.full((full.num_embeddings,), -1)
        rows[ids] = torch.arange(len(ids))
        self.register_buffer("rows", rows, persistent=False)
        self.register_buffer("ids", ids, persistent=False)
        self.table = nn.Embedding(len(ids), full.embedding_dim)
        self.table.weight.data.copy_(full.weight.data[ids])

    def forward(self, ids: Tensor) -> Tensor:
        return self.table(self.rows[ids])

    @torch.no_grad()
    def write_to(self, full: nn.Embedding) -> None:
        full.weight[self.ids] = self.table.weight
