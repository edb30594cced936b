"""What `ecurie worker` refuses, and which queues it listens to."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from ecurie.catalog.catalog import BUILTIN, Catalog
from ecurie.errors import SettingsError
from ecurie.worker.cluster import Queues
from tests.conftest import DEMO_FOLDER


@pytest.mark.parametrize(
    ("environment", "arguments", "said"),
    [
        ({}, (), "ECURIE_BROKER_URL"),
        ({"ECURIE_BROKER_URL": "redis://10.0.0.5/0"}, (), "ECURIE_DATABASE_URL"),
        ({"ECURIE_BROKER_URL": "redis://localhost/0"}, ("--models", "nope"), "there is no model 'nope'"),
    ],
)
def test_what_cannot_work_is_refused_at_start(
    tmp_path: Path, environment: dict[str, str], arguments: tuple[str, ...], said: str
) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "ecurie", "worker", "--demo", *arguments],
        env={**os.environ, **environment, "ECURIE_DATA_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (ended.returncode, said in ended.stderr) == (3, True), ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_worker_listens_for_all_models_of_its_catalogue_also_later_ones(tmp_path: Path) -> None:
    file = tmp_path / "ecurie.yaml"
    text = f"defaults: {{model: a}}\nmodels:\n  a: {{name: A, source: {DEMO_FOLDER}}}\n"
    file.write_text(text)
    queues = Queues(Catalog(file, tmp_path), ())
    assert (queues.models, queues.names()) == (("a",), ["ecurie.a"])
    added: list[str] = []
    consumer = SimpleNamespace(call_soon=lambda call, name: call(name), add_task_queue=added.append)
    queues.follow_with(consumer)
    file.write_text(f"{text}  b: {{name: B, source: {DEMO_FOLDER}}}\n")
    assert queues.follow() == ("a", "b")
    assert queues.follow() == ("a", "b")
    assert added == ["ecurie.b"]


def test_chosen_models_are_the_only_ones_and_must_exist(tmp_path: Path) -> None:
    catalog = Catalog(BUILTIN["demo"], tmp_path)
    assert Queues(catalog, ("pony-xl-v6",)).names() == ["ecurie.pony-xl-v6"]
    with pytest.raises(SettingsError, match="nope"):
        Queues(catalog, ("pony-xl-v6", "nope"))
