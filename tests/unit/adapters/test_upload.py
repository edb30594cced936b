"""How weights are cut into pieces for the way to a device. `tests/gpu` sends them over a real bus."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from ecurie.adapters.upload import Copy, chunks_of, move, padded, put_back, upload

SIZE = 4096


@pytest.fixture
def copies() -> list[Copy]:
    """Large and small, two dtypes, one transposed, one empty, one a scalar."""
    sources: list[Tensor] = [
        torch.randn(100, 77),
        torch.randn(3, 5).half(),
        torch.randn(64, 48).half().T,
        torch.randn(SIZE),
        torch.empty(0),
        torch.tensor(3.0),
        torch.randn(7),
    ]
    return [(torch.full(source.shape, torch.nan, dtype=source.dtype), source) for source in sources]


def test_every_number_travels_once(copies: list[Copy]) -> None:
    for chunk in chunks_of(copies, SIZE):
        for target, source in chunk:
            assert target.isnan().all()
            target.copy_(source)
    for target, source in copies:
        assert torch.equal(target, source)


def test_no_chunk_is_larger_than_a_buffer_and_small_tensors_share_one(copies: list[Copy]) -> None:
    chunks = list(chunks_of(copies, SIZE))
    assert all(sum(padded(source.nbytes) for _, source in chunk) <= SIZE for chunk in chunks)
    assert max(len(chunk) for chunk in chunks) > 1


def test_a_device_without_a_bus_gets_plain_copies(copies: list[Copy]) -> None:
    upload(copies, torch.device("cpu"))
    for target, source in copies:
        assert torch.equal(target, source)


def test_a_module_comes_back_to_the_memory_that_it_left() -> None:
    """Other memory of the CPU stands for the accelerator's."""
    module = torch.nn.BatchNorm1d(5)
    torch.nn.init.normal_(module.weight)

    def places() -> list[int]:
        return [parameter.data_ptr() for parameter in module.parameters()]

    before, numbers = places(), module.weight.data.clone()
    moved = move(module, torch.device("cpu"))
    assert not set(places()) & set(before)
    assert torch.equal(module.weight, numbers)
    put_back(module, moved)
    assert places() == before
