from __future__ import annotations

import dataclasses
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from ecurie.catalog.catalog import BUILTIN, Catalog
from ecurie.domain import GenerationRequest, Progress
from ecurie.engine.devices import Compute, choose_compute
from ecurie.engine.engine import Engine
from ecurie.engine.loader import Model, load_model
from ecurie.engine.residency import Budgets
from ecurie.formats.checkpoint import ModelFiles, read_checkpoint
from ecurie.images.files import OutputFolder
from ecurie.images.storage import LocalFolder
from ecurie.images.uploads import UploadLimits
from ecurie.requests.body import GenerateBody
from ecurie.requests.pictures import PictureSource, picture_at
from ecurie.requests.resolve import resolve
from tests.conftest import DEMO_FOLDER


@pytest.fixture(scope="session")
def compute() -> Compute:
    return choose_compute("cpu")


@pytest.fixture(scope="session")
def engine(compute: Compute) -> Engine:
    return Engine(compute, Budgets(10**12, 0, models=2))


@pytest.fixture(scope="session")
def model(compute: Compute) -> Model:
    return load_model(read_checkpoint(ModelFiles(DEMO_FOLDER)), compute)


@pytest.fixture
def outputs(tmp_path: Path) -> OutputFolder:
    return OutputFolder(LocalFolder(tmp_path), "job", datetime(2026, 11, 24, 12, 30, 5, tzinfo=UTC))


def make_request(**fields: Any) -> GenerationRequest:
    body = GenerateBody(**({"prompt": "red apple", "seed": 7, "steps": 4} | fields))
    return resolve(body, Catalog(BUILTIN["demo"], Path("nowhere")), 10**9)


def make_picture_request(**fields: Any) -> GenerationRequest:
    """Like `make_request`; `init_image` and `mask` are files."""
    named = {name: str(fields[name]) for name in ("init_image", "mask") if name in fields}
    body = GenerateBody(**({"prompt": "red apple", "seed": 7, "steps": 4} | fields | named))
    pictures = PictureSource(partial(picture_at, limits=UploadLimits(10**9, 10**9)))
    return resolve(body, Catalog(BUILTIN["demo"], Path("nowhere")), 10**9, pictures)


def ignore(_progress: Progress) -> None:
    pass


def request_of(folder: Path, **fields: Any) -> GenerationRequest:
    """For the model in another folder."""
    return dataclasses.replace(make_request(**fields), model=folder.name, model_path=str(folder))
