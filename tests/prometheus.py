"""Prometheus and its tools, as Debian installs them."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
import yaml

from tests.conftest import Server, free_port
from tests.services import missing

DEPLOYED = Path(__file__).parents[1] / "deploy"


def promtool(*arguments: str, given: str = "") -> str:
    """What it says; fails where it finds a fault."""
    program = shutil.which("promtool") or missing("promtool (Prometheus)")
    ended = subprocess.run(
        [program, *arguments],
        input=given,
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
        cwd=DEPLOYED / "prometheus",
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout + ended.stderr


@contextmanager
def prometheus(server: Server, folder: Path) -> Iterator[httpx2.Client]:
    """One that asks this server every second, with the deployed configuration else."""
    program = shutil.which("prometheus") or missing("Prometheus")
    config = yaml.safe_load((DEPLOYED / "prometheus" / "prometheus.yml").read_text())
    config["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
    config["rule_files"] = [str(DEPLOYED / "prometheus" / "ecurie.rules.yml")]
    (scraping,) = config["scrape_configs"]
    # The test's server needs no key.
    del scraping["authorization"]
    scraping["static_configs"] = [{"targets": [f"localhost:{server.port}"]}]
    (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
    port = free_port()
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [
                program,
                f"--config.file={folder / 'prometheus.yml'}",
                f"--storage.tsdb.path={folder / 'data'}",
                f"--web.listen-address=127.0.0.1:{port}",
            ],
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        with httpx2.Client(base_url=f"http://127.0.0.1:{port}/api/v1", timeout=60, trust_env=False) as client:
            server.wait_until(lambda: client.get("../../-/ready").status_code == 200, "Prometheus is ready")
            yield client
    finally:
        process.terminate()
        process.wait(60)


def values(client: httpx2.Client, expression: str) -> list[tuple[dict[str, str], float]]:
    """(labels, value) of each series that the expression gives now."""
    answer: dict[str, Any] = client.get("/query", params={"query": expression}).json()
    assert answer["status"] == "success", (expression, answer)
    return [(one["metric"], float(one["value"][1])) for one in answer["data"]["result"]]
