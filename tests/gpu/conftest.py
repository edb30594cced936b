from __future__ import annotations

import pytest
import torch

from ecurie.engine.devices import Compute, choose_compute


@pytest.fixture(scope="session")
def cuda() -> Compute:
    if not torch.cuda.is_available():
        pytest.skip("needs an NVIDIA GPU")
    return choose_compute("cuda")
