"""Every command and curl line printed in the README and the docs is run here."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2
import pytest
import yaml

from ecurie.catalog.entries import CatalogFile, ModelEntry
from ecurie.settings import Settings
from tests.conftest import Server, free_port

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), ROOT / "demo" / "README.md"]
# Training takes hours; its command is run with few steps by another test. What serves needs a broker.
ELSEWHERE = {
    "make demo-models": "tests/unit/test_demo.py",
    "make clients-table": "tests/unit/test_clients_table.py",
    ".venv/bin/ecurie serve --demo": "tests/e2e/test_cluster.py",
    ".venv/bin/ecurie worker --demo": "tests/e2e/test_cluster.py",
    ".venv/bin/ecurie worker --demo --models sdxl-base,pony-xl-v6 --name gpu-1": "tests/e2e/test_cluster.py",
    ".venv/bin/celery -A ecurie.worker.console inspect active": "tests/e2e/test_cluster.py",
    ".venv/bin/celery -A ecurie.worker.console flower": "tests/e2e/test_cluster.py",
    ".venv/bin/python -m tests.faults_run --jobs 300 --seed 7": "tests/e2e/test_faults_run.py",
    ".venv/bin/python -m tests.faults_run --broker redis --seed 7": "tests/e2e/test_cluster_faults.py",
}


def blocks(language: str) -> list[tuple[str, str]]:
    """(page, text) of every fenced block in that language."""
    pattern = re.compile(rf"^```{language}\n(.*?)^```$", re.MULTILINE | re.DOTALL)
    return [(page.name, text) for page in PAGES for text in pattern.findall(page.read_text())]


def commands() -> list[str]:
    """Whole commands: a line, or several joined by an open quote or a backslash."""
    found: list[str] = []
    for _, text in blocks("bash"):
        pending = ""
        for line in text.splitlines():
            pending = f"{pending}\n{line}" if pending else line
            try:
                shlex.split(pending)
            except ValueError:
                continue
            found.append(pending)
            pending = ""
        assert not pending
    return found


CURLS = [command for command in commands() if command.startswith("curl ")]
VERBS = [
    command for command in commands() if command.startswith(".venv/bin/ecurie ") and command not in ELSEWHERE
]
MAKES = [command for command in commands() if command.startswith("make ")]


def test_every_printed_command_is_of_a_kind_that_is_run() -> None:
    known = {*CURLS, *VERBS, *MAKES, *ELSEWHERE}
    assert [command for command in commands() if command not in known] == []
    assert len(CURLS) >= 5
    for place in ELSEWHERE.values():
        assert (ROOT / place).is_file()


@pytest.fixture
def stocked(server: Server) -> Server:
    """With the pictures that some lines expect to be there: ids come from their content."""
    for name in ("start.png", "mask.png"):
        content = (ROOT / "docs" / "pictures" / name).read_bytes()
        assert server.client.post("/images", content=content).status_code == 201
    return server


def curl(command: str, server: Server) -> bytes:
    arguments = shlex.split(command.replace("http://localhost:8009", server.url))
    return subprocess.run(
        [*arguments, "--silent"], cwd=ROOT, capture_output=True, check=True, timeout=100
    ).stdout


@pytest.mark.parametrize("command", CURLS)
def test_a_curl_line_answers(command: str, stocked: Server) -> None:
    answer = json.loads(curl(command, stocked))
    if "nope" in command:
        assert answer["code"] == "unknown-model"
    elif "wait=" in command:
        assert answer["state"] == "succeeded"
        (image,) = answer["result"]["images"]
        assert (stocked.data_dir / "outputs" / image["filename"]).is_file()
    else:
        assert "code" not in answer


@pytest.mark.parametrize(
    "command", [command for command in CURLS if "wait=" in command and "seed" in command]
)
def test_a_curl_line_with_a_seed_gives_the_same_bytes_twice(command: str, stocked: Server) -> None:
    contents = []
    for _ in range(2):
        (image,) = json.loads(curl(command, stocked))["result"]["images"]
        contents.append((stocked.data_dir / "outputs" / image["filename"]).read_bytes())
    assert contents[0] == contents[1]


@pytest.mark.parametrize("command", VERBS)
def test_a_command_line_works(command: str, tmp_path: Path, server: Server) -> None:
    arguments = shlex.split(command)[1:]
    if arguments == ["watch"]:
        server.submit(steps=2)
    (tmp_path / "docs").symlink_to(ROOT / "docs")
    ended = subprocess.run(
        [sys.executable, "-m", "ecurie", *arguments],
        cwd=tmp_path,
        env={
            **os.environ,
            "ECURIE_DATA_DIR": str(tmp_path / "data"),
            "ECURIE_PORT": str(server.port),
        },
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr


@pytest.mark.parametrize("page", sorted({page for page, _ in blocks("python")}))
def test_the_python_of_a_page_runs(page: str, tmp_path: Path, server: Server) -> None:
    """One block after the other, as they are read."""
    text = "\n".join(text for name, text in blocks("python") if name == page)
    (tmp_path / "docs").symlink_to(ROOT / "docs")
    ended = subprocess.run(
        [sys.executable, "-c", with_url(text, server.url)],
        cwd=tmp_path,
        env=os.environ,
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    assert list(tmp_path.glob("*.png"))


def with_url(text: str, url: str) -> str:
    """The page's clients ask the server where it is by default; this one is elsewhere."""
    placed = re.sub(r"\b((?:Async)?Client)\((?!\))", rf'\1("{url}", ', text)
    placed = re.sub(r"\b((?:Async)?Client)\(\)", rf'\1("{url}")', placed)
    return placed.replace("http://localhost:8009", url)


@pytest.mark.parametrize(("page", "text"), blocks("json"))
def test_a_printed_configuration_starts_what_there_is(page: str, text: str) -> None:
    (servers,) = json.loads(text).values()
    arguments = servers["ecurie"]["args"]
    line = [sys.executable, "-m", "ecurie", *arguments, "--help"]
    shown = subprocess.run(line, capture_output=True, text=True, check=True)
    assert "Model Context Protocol" in shown.stdout, page


@contextmanager
def running(command: str, data_dir: Path) -> Iterator[httpx2.Client]:
    """A `make` line that serves, stopped by Ctrl-C."""
    port = free_port()
    process = subprocess.Popen(
        shlex.split(command),
        cwd=ROOT,
        env={**os.environ, "ECURIE_DATA_DIR": str(data_dir), "ECURIE_PORT": str(port)},
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    client = httpx2.Client(base_url=f"http://localhost:{port}", timeout=100, trust_env=False)
    try:
        assert process.stderr is not None
        for line in process.stderr:
            if b"ready on" in line:
                break
        yield client
    finally:
        client.close()
        os.killpg(process.pid, signal.SIGINT)
        process.communicate(timeout=20)


@pytest.mark.parametrize("command", [command for command in MAKES if command not in ELSEWHERE])
def test_a_make_line_does_what_is_said(command: str, tmp_path: Path) -> None:
    if command == "make test":
        shown = subprocess.run(["make", "-n", "test"], cwd=ROOT, capture_output=True, text=True, check=True)
        assert "python -m pytest" in shown.stdout
        return
    with running(command, tmp_path / "data") as client:
        models = {model["id"]: model for model in client.get("/models").json()["models"]}
        if command == "make demo":
            answer = client.post("/generate?wait=60", json={"prompt": "red apple", "steps": 2})
            assert answer.json()["state"] == "succeeded"
        else:
            assert command == "make serve"
            base = models["sdxl-base"]
            assert (base["downloaded"], base["unavailable"]) == (False, None)


@pytest.mark.parametrize(("page", "text"), blocks("yaml"))
def test_a_printed_catalogue_is_valid(page: str, text: str) -> None:
    assert CatalogFile.model_validate(yaml.safe_load(text)), page


def test_the_field_tables_are_complete() -> None:
    api, catalogue = ((ROOT / "docs" / name).read_text() for name in ("api.md", "catalogue.md"))
    for name, field in Settings.model_fields.items():
        default = "" if field.default in (None, ()) or field.default is False else f"`{field.default}`"
        assert f"| `{name}` | {default} | {field.description} |" in api
    for name in ModelEntry.model_fields:
        assert f"`{name}`" in catalogue


@pytest.mark.parametrize(("page", "first"), [("operations.md", "fault"), ("security.md", "attack")])
def test_every_row_of_the_table_names_tests_that_exist(page: str, first: str) -> None:
    """By their names, or as `file.py::name`."""
    text = (ROOT / "docs" / page).read_text()
    (table,) = re.findall(rf"^\| {first} \|.*?\n\n", text, re.MULTILINE | re.DOTALL)
    defined = set()
    for file in (ROOT / "tests").rglob("test_*.py"):
        names = re.findall(r"^def (test_\w+)", file.read_text(), re.MULTILINE)
        defined |= {*names, *(f"{file.name}::{name}" for name in names)}
    for row in table.strip().splitlines()[2:]:
        named = re.findall(r"`((?:test_\w+\.py::)?test_\w+)`", row)
        assert named, row
        assert set(named) <= defined, set(named) - defined


def test_links_between_pages_lead_somewhere() -> None:
    for page in PAGES:
        for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name}: {target}"
