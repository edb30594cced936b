from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from ecurie.catalog.catalog import BUILTIN, Catalog
from ecurie.domain import GenerationRequest, Progress
from ecurie.engine.devices import Compute, choose_compute
from ecurie.engine.engine import Engine
from ecurie.engine.loader import Model, load_model
from ecurie.formats.diffusers_folder import read_folder
from ecurie.images.files import OutputFolder
from ecurie.requests import GenerateBody, resolve
from tests.conftest import DEMO_FOLDER


@pytest.fixture(scope="session")
def compute() -> Compute:
    return choose_compute("cpu")


@pytest.fixture(scope="session")
def engine(compute: Compute) -> Engine:
    return Engine(compute, max_resident_models=2)


@pytest.fixture(scope="session")
def model(compute: Compute) -> Model:
    return load_model(DEMO_FOLDER, read_folder(DEMO_FOLDER), compute)


@pytest.fixture
def outputs(tmp_path: Path) -> OutputFolder:
    return OutputFolder(tmp_path, "job", datetime(2026, 11, 24, 12, 30, 5, tzinfo=UTC))


def make_request(**fields: Any) -> GenerationRequest:
    body = GenerateBody(**({"prompt": "red apple", "seed": 7, "steps": 4} | fields))
    return resolve(body, Catalog(BUILTIN["demo"], Path("nowhere")), 10**9)


def ignore(_progress: Progress) -> None:
    pass
