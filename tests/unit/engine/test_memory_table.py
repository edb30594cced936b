"""What full SDXL takes with adapters on it, told from files that are headers only."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from ecurie.catalog.catalog import Catalog, FoundModel
from ecurie.catalog.ip_adapters import find_ip_adapter
from ecurie.cli.app import app
from ecurie.engine.memory import Step
from ecurie.engine.memory_table import Named, Table, size_of, tables_of
from ecurie.formats.adapter_file import read_adapter
from ecurie.formats.checkpoint import ModelFiles, read_checkpoint
from tests.full_size import sparse_checkpoint, sparse_ip_adapter, sparse_lora

CATALOG = """
defaults: {{model: full}}
models:
  full: {{name: Full, source: {folder}}}
  away: {{name: Away, source: ./nowhere}}
adapters:
  whole: {{name: Whole, source: {folder}/../whole.safetensors}}
  half: {{name: Half, source: {folder}/../half.safetensors}}
  third: {{name: Third, source: {folder}/../third.safetensors}}
ip_adapters:
  plain: {{name: Plain, source: {folder}/../plain.safetensors, image_encoder: {folder}/../image_encoder}}
"""
WHOLE_LORA = 228


@pytest.fixture(scope="module")
def catalog_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("full")
    model = sparse_checkpoint(folder / "sdxl")
    for name, every in (("whole", 1), ("half", 2), ("third", 3)):
        sparse_lora(folder / f"{name}.safetensors", every)
    inventory = read_checkpoint(ModelFiles(model)).inventory
    sparse_ip_adapter(folder / "plain.safetensors", inventory)
    file = folder / "ecurie.yaml"
    file.write_text(CATALOG.format(folder=model))
    return file


@pytest.fixture(scope="module")
def catalog(catalog_file: Path) -> Catalog:
    return Catalog(catalog_file, catalog_file.parent)


@pytest.fixture(scope="module")
def model(catalog: Catalog) -> FoundModel:
    return catalog.find("full")


@pytest.fixture(scope="module")
def adapters(catalog_file: Path, model: FoundModel) -> Named:
    inventory = model.checkpoint.inventory
    names = ("whole", "half", "third")
    return [(name, read_adapter(catalog_file.parent / f"{name}.safetensors", inventory)) for name in names]


@pytest.fixture(scope="module")
def tables(catalog: Catalog, model: FoundModel, adapters: Named) -> list[Table]:
    ip_adapter = find_ip_adapter(catalog, "plain", model.checkpoint.inventory)
    return tables_of(model, adapters, ip_adapter, (1024, 1024))


def gigabytes(table: Table) -> dict[str, list[float]]:
    return {step: [round(size / 1e9, 2) for size in row] for step, row in table.rows.items()}


def test_on_an_accelerator_adapters_take_nothing_but_an_ip_adapter_does(tables: list[Table]) -> None:
    """The figures of docs/memory.md, which an H100 was compared with."""
    device = gigabytes(tables[0])
    assert tables[0].loads == ("base", "+1 adapter", "+3 adapters", "+IP-Adapter")
    assert device == {
        "all-resident": [11.39, 11.39, 11.39, 12.09],
        "text-to-host": [9.75, 9.75, 9.75, 10.45],
        "vae-tiled": [7.19, 7.19, 7.19, 7.89],
        "model-offload": [5.78, 5.78, 5.78, 6.48],
        "sequential-offload": [1.89, 1.89, 1.89, 1.89],
    }


def test_at_the_host_lie_their_files_and_what_rests_there(tables: list[Table], adapters: Named) -> None:
    host = gigabytes(tables[1])
    assert list(host) == [step.label for step in Step]
    assert host["all-resident"] == [0, 0.23, 0.41, 1.96]
    text = 1.64
    assert host["text-to-host"][0] == host["vae-tiled"][0] == text
    whole = round(5.135 + 0.167 + 0.246 + 1.389, 2)
    assert host["model-offload"][0] == host["sequential-offload"][0] == pytest.approx(whole, abs=0.01)
    # The smaller ones change no weight that the first does not.
    assert host["model-offload"][2] - host["model-offload"][1] == pytest.approx(0.19, abs=0.02)


def test_on_a_cpu_a_float16_file_is_converted(tables: list[Table]) -> None:
    """4.2 GB is what decoding whole takes at 1024×1024."""
    cpu = gigabytes(tables[2])
    assert cpu["all-resident"][0] == pytest.approx(13.88 + 4.2 + 0.25, abs=0.1)
    assert cpu["text-to-host"][0] == pytest.approx(cpu["all-resident"][0] - 3.27, abs=0.05)
    # Encoding, before the text encoders are dropped, is the worst moment then.
    assert cpu["vae-tiled"][0] == pytest.approx(13.88 + 0.25, abs=0.02)
    assert cpu["all-resident"][1] - cpu["all-resident"][0] == pytest.approx(WHOLE_LORA / 1000, abs=0.01)


def test_an_adapter_is_told_by_itself(model: FoundModel, adapters: Named) -> None:
    size = size_of("whole", adapters[0][1], model.checkpoint.inventory)
    assert (size.modules, round(size.bytes / 1e6)) == (986, WHOLE_LORA)
    assert size.rewritten / 1e9 == pytest.approx(5.8, abs=0.1)


def doctor(catalog_file: Path, *arguments: str) -> str:
    command = ["doctor", "--memory", "--catalog", str(catalog_file), "--data-dir", str(catalog_file.parent)]
    ended = CliRunner().invoke(app, [*command, *arguments], env={"COLUMNS": "120"})
    assert ended.exit_code == 0, ended.output
    return ended.output


def test_the_command_shows_tables_for_every_size(catalog_file: Path) -> None:
    shown = doctor(catalog_file, "--size", "1024x1024", "--size", "2048x2048", "--measure", "--device", "cpu")
    assert re.search(r"all-resident +│ 11\.39 GB │ +11\.39 GB │ +11\.39 GB", shown)
    assert re.search(r"vae-tiled +│ +7\.19 GB", shown)
    assert "22.98 GB" in shown
    assert re.search(r"whole +│ +0\.23 GB │ +986 ", shown)
    assert "full: not measured: this machine's PyTorch sees no CUDA device" in shown
    assert "away: " in shown


def test_it_answers_in_bytes_as_json(catalog_file: Path) -> None:
    (report,) = json.loads(doctor(catalog_file, "--json", "--model", "full", "--adapter", "half"))
    table = report["tables"][0]
    assert table["loads"] == ["base", "+1 adapter", "+IP-Adapter"]
    assert table["rows"]["all-resident"][0] == pytest.approx(11.39e9, rel=1e-3)
    assert [one["name"] for one in report["adapters"]] == ["half"]


def test_what_is_asked_for_by_name_must_be_there(catalog_file: Path) -> None:
    for arguments in (["--model", "away"], ["--model", "nope"], ["--adapter", "nope"], ["--size", "big"]):
        command = ["doctor", "--memory", "--catalog", str(catalog_file), *arguments]
        assert CliRunner().invoke(app, command).exit_code != 0, arguments
