"""Files that are whole by their headers but not by their numbers: refused, and nothing of them sticks."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
import torch

from ecurie.adapters.reader import load_adapter
from ecurie.domain import AdapterUse, GenerationRequest
from ecurie.engine.engine import Engine
from ecurie.errors import AdapterInvalid, EcurieError
from ecurie.formats.adapter_file import read_adapter
from ecurie.formats.hashes import sha256_of
from ecurie.images.files import OutputFolder
from ecurie.images.storage import LocalFolder
from tests.unit.adapters import files
from tests.unit.conftest import ignore, make_request


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("role", ["lora_up", "lora_down", "alpha"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_nan_and_infinity_are_refused_with_the_tensor_s_name(
    tmp_path: Path, value: float, role: str, dtype: torch.dtype
) -> None:
    tensors = {
        key: tensor.to(dtype) for key, tensor in files.kohya_tensors(files.attention_places()[:3]).items()
    }
    key = [key for key in tensors if role in key][-1]
    tensors[key].view(-1)[-1] = value
    file = files.save(tmp_path / "a.safetensors", tensors)
    with pytest.raises(AdapterInvalid, match=f"{key}.* NaN or infinite"):
        load_adapter(read_adapter(file, files.demo_inventory()), sha256_of(file))


def drawn(engine: Engine, folder: Path, request: GenerationRequest) -> bytes:
    outputs = OutputFolder(LocalFolder(folder), "job", datetime(2026, 11, 24, tzinfo=UTC))
    (image,) = engine.run(request, outputs, ignore).images
    return (folder / image.filename).read_bytes()


def with_file(file: Path) -> GenerationRequest:
    use = AdapterUse("a", str(file), sha256_of(file), "", 1.0, 1.0)
    return replace(make_request(steps=2), adapters=(use,))


@pytest.mark.parametrize("alpha", [3e38, -1e30])
@pytest.mark.parametrize("chosen", [lambda place: place[0] == "unet", lambda place: place[0] != "unet"])
def test_a_huge_alpha_ends_in_an_error_never_in_a_picture(
    alpha: float,
    chosen: Callable[[tuple[str, str]], bool],
    engine: Engine,
    tmp_path: Path,
) -> None:
    """It is finite in the file; what comes of it is not."""
    before = drawn(engine, tmp_path / "before", make_request(steps=2))
    places = [place for place in files.attention_places() if chosen(place)]
    file = files.save(tmp_path / "a.safetensors", files.kohya_tensors(places, alpha=alpha))
    with pytest.raises(EcurieError):
        drawn(engine, tmp_path / "bad", with_file(file))
    assert not list((tmp_path / "bad").glob("*"))
    assert drawn(engine, tmp_path / "after", make_request(steps=2)) == before
