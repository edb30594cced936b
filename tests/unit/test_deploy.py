"""Files of a deployment are valid, and name only what exists."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from bench.dockerfile import WITHOUT_EFFECT, Rehearsal, steps_of
from ecurie.settings import Settings
from tests.services import missing

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
COMPOSE = sorted(DEPLOY.glob("compose*.yaml"))
TOOLS = Path(sys.executable).parent


def run(*command: str | Path) -> None:
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr


def test_the_linter_finds_nothing_in_the_dockerfile() -> None:
    run(TOOLS / "hadolint", ROOT / "Dockerfile")


def test_every_instruction_of_the_dockerfile_can_be_rehearsed() -> None:
    named = {name for name, _ in steps_of((ROOT / "Dockerfile").read_text())}
    assert {name for name in named - {*WITHOUT_EFFECT} if not hasattr(Rehearsal, f"_{name.lower()}")} == set()


@pytest.mark.parametrize("file", COMPOSE, ids=lambda file: file.name)
def test_a_compose_file_is_as_the_specification_says(file: Path) -> None:
    run(TOOLS / "check-jsonschema", "--builtin-schema", "vendor.compose-spec", file)


@pytest.mark.parametrize("file", COMPOSE, ids=lambda file: file.name)
def test_folders_and_secrets_of_a_compose_file_exist(file: Path) -> None:
    text = file.read_text()
    for service in yaml.safe_load(text)["services"].values():
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            assert not source.startswith(".") or (DEPLOY / source).is_dir(), source
    shown = (DEPLOY / "env.example").read_text()
    for name in re.findall(r"\$\{(\w+):\?", text):
        assert f"{name}=" in shown


def test_the_variables_named_are_settings() -> None:
    files = [ROOT / "Dockerfile", *(file for file in DEPLOY.rglob("*") if file.is_file())]
    named = {name for file in files for name in re.findall(r"\bECURIE_([A-Z_]+)\b", file.read_text())}
    assert {name.lower() for name in named} <= set(Settings.model_fields)


@pytest.mark.parametrize("unit", sorted((DEPLOY / "systemd").iterdir()), ids=lambda unit: unit.name)
def test_a_unit_is_one_that_systemd_understands(unit: Path, tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        missing("systemd-analyze")
    copy = tmp_path / unit.name.replace("@", "@0")
    copy.write_text(re.sub(r"^ExecStart=\S+", f"ExecStart={sys.executable}", unit.read_text(), flags=re.M))
    run("systemd-analyze", "verify", "--man=no", copy)
