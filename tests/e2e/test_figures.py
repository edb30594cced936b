"""A server as its operator sees it: figures, records, traces, and Prometheus with the deployed rules."""

from __future__ import annotations

import itertools
import json
import re
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.collector import Collector, Span
from tests.conftest import Server, StartServer
from tests.prometheus import prometheus, promtool, values
from tests.unit.adapters import files
from tests.unit.test_observed import RULES, SHOWING
from tests.web import running

ROOT = Path(__file__).parents[2]
SECRET = "zanzibar-quagmire"
TRACE, CALLER = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
# Words of PromQL that look like names of figures.
WORDS = frozenset(
    "and by for histogram_quantile increase max offset on or rate sum unless vector without le".split()
)


@dataclass
class Story:
    """A server and what was done with it, before it was stopped. `busy` are its figures while jobs waited."""

    server: Server
    collector: Collector
    jobs: dict[str, dict[str, Any]]
    busy: str
    metrics: str
    listeners: float
    queried: dict[str, list[tuple[dict[str, str], float]]]
    alerts: list[str]

    @property
    def records(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.server.log.splitlines()]

    def spans(self, service: str, trace: str) -> list[Span]:
        found = [one for one in self.collector.spans if (one.service, one.trace) == (service, trace)]
        return sorted(found, key=lambda one: one.began)


def figure(metrics: str, sample: str) -> float:
    (found,) = re.findall(rf"^{re.escape(sample)} (\S+)$", metrics, re.MULTILINE)
    return float(found)


def expressions() -> list[str]:
    asked = [target["expr"] for panel in SHOWING for target in panel["targets"]]
    return [text.replace("$__rate_interval", "5m") for text in (*asked, *(rule["expr"] for rule in RULES))]


@pytest.fixture(scope="module")
def story(module_servers: StartServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    folder = tmp_path_factory.mktemp("data")
    adapter = folder / "models" / "adapters" / "gone.safetensors"
    adapter.parent.mkdir(parents=True)
    files.save(adapter, files.kohya_tensors(files.attention_places()[:2]))
    with running(Collector()) as collector:
        server = module_servers(
            *("--log-format", "json", "--log-level", "debug", "--access-log"),
            *("--otlp-endpoint", collector.url),
            data_dir=folder,
            OTEL_BSP_SCHEDULE_DELAY="200",
        )
        jobs, busy = done_with(server, adapter)
        metrics = server.client.get("/metrics").text
        listeners = followed(server)
        with prometheus(server, tmp_path_factory.mktemp("prometheus")) as asked:
            server.wait_until(lambda: scraped(asked), "scraped")
            draw = {"prompt": SECRET, "steps": 3, "loras": [{"name": "ink-sketch"}]}
            assert server.client.post("/generate?wait=60", json=draw).json()["state"] == "succeeded"
            before = scraped(asked)
            server.wait_until(lambda: scraped(asked) > before + 1, "scraped after a job")
            server.wait_until(lambda: rules_are_evaluated(asked), "with evaluated rules")
            queried = {text: values(asked, text) for text in expressions()}
            alerts = [one["labels"]["alertname"] for one in asked.get("/alerts").json()["data"]["alerts"]]
        server.stop()
        yield Story(server, collector, jobs, busy, metrics, listeners, queried, alerts)


def done_with(server: Server, adapter: Path) -> tuple[dict[str, dict[str, Any]], str]:
    """Jobs of every end, with the secret in their prompts; and the figures while two of them waited."""
    post = server.client.post
    headers = {"traceparent": f"00-{TRACE}-{CALLER}-01"}
    first = {"prompt": f"a {SECRET} apple", "negative_prompt": f"no {SECRET}", "steps": 3, "num_images": 2}
    drawn = post("/generate?wait=60", json=first, headers=headers).json()
    stack = {"loras": [{"name": "style-anime"}], "steps": 2, "prompt": f"{SECRET} <lora:ink-sketch:0.5>"}
    stacked = post("/generate?wait=60", json=stack).json()
    again = post("/generate?wait=60", json=stack).json()
    for wrong in (
        {"prompt": f"[{SECRET}|apple]"},
        {"prompt": SECRET, "model": SECRET},
        {"prompt": SECRET, SECRET: 1},
        {"prompt": [SECRET]},
    ):
        assert post("/generate", json=wrong).status_code in (404, 422)
    long = server.submit(prompt=SECRET, steps=150, num_images=4)
    failing = server.submit(prompt=f"{SECRET} fails", loras=[{"name": "gone"}])
    queued = server.submit(prompt=SECRET)
    server.wait_for(long, "running")
    busy = server.client.get("/metrics").text
    adapter.unlink()
    for job_id in (queued, long):
        assert server.client.delete(f"/jobs/{job_id}").status_code == 200
    jobs = {
        "drawn": drawn,
        "stacked": stacked,
        "again": again,
        "failed": server.wait_for(failing, "failed"),
        "stopped": server.wait_for(long, "cancelled"),
        "cancelled": server.wait_for(queued, "cancelled"),
    }
    return jobs, busy


def followed(server: Server) -> float:
    """How many listeners the figures tell of while one listens."""
    job_id = server.submit(prompt=SECRET, steps=150, num_images=4)
    told: list[float] = []
    listening = threading.Event()

    def listen() -> None:
        with httpx2.stream("GET", f"{server.url}/jobs/{job_id}/events", timeout=60) as answer:
            for _ in answer.iter_lines():
                listening.set()

    thread = threading.Thread(target=listen)
    thread.start()
    assert listening.wait(60)
    told.append(figure(server.client.get("/metrics").text, "ecurie_event_listeners"))
    server.client.delete(f"/jobs/{job_id}")
    thread.join(60)
    server.wait_for(job_id, "cancelled")
    return told[0]


def scraped(asked: httpx2.Client) -> float:
    found = values(asked, 'count_over_time(up{job="ecurie"}[5m])')
    return found[0][1] if found else 0


def rules_are_evaluated(asked: httpx2.Client) -> bool:
    (group,) = asked.get("/rules").json()["data"]["groups"]
    return all(rule["health"] == "ok" for rule in group["rules"])


def test_jobs_are_counted_by_their_ends(story: Story) -> None:
    def told(sample: str) -> float:
        return figure(story.metrics, sample)

    assert {name: job["state"] for name, job in story.jobs.items()} == {
        "drawn": "succeeded", "stacked": "succeeded", "again": "succeeded",
        "failed": "failed", "stopped": "cancelled", "cancelled": "cancelled",
    }  # fmt: skip
    finished = 'ecurie_jobs_finished_total{model="sdxl-base",outcome="%s"}'
    assert [told(finished % outcome) for outcome in ("succeeded", "failed", "cancelled")] == [3, 1, 2]
    assert told('ecurie_images_total{model="sdxl-base"}') == 4
    switches = [told(f'ecurie_switch_seconds_count{{kind="{kind}"}}') for kind in ("model", "stack", "none")]
    assert switches == [1, 1, 1]
    assert told('ecurie_model_lookups_total{result="hit"}') == 2
    assert told('ecurie_prompt_cache_lookups_total{result="hit"}') == 1
    assert told('ecurie_memory_step_jobs_total{step="all-resident"}') == 3
    timed = [job["result"]["timings"] for job in story.jobs.values() if job["result"]]
    for phase in ("encode", "denoise", "decode", "save"):
        total = sum(one[phase] for one in timed)
        assert told(f'ecurie_job_phase_seconds_sum{{phase="{phase}"}}') == pytest.approx(total, abs=1e-3)
    # Two of each image of three steps, and one of each of two; those of the job that was stopped came beside.
    assert told('ecurie_step_seconds_count{model="sdxl-base"}') >= 6
    assert told('ecurie_adapter_seconds_total{phase="compute"}') > 0
    assert told('ecurie_http_requests_total{method="POST",route="/generate",status="422"}') == 3
    assert (
        told(
            "ecurie_worker_ram_used_bytes"
            + re.findall(r"_info\{.*(worker=\"[^\"]+\")\}", story.metrics)[0].join("{}")
        )
        > 1e8
    )
    assert story.listeners == 1
    waiting = 'ecurie_queue_jobs{model="sdxl-base",priority="normal"}'
    assert figure(story.busy, waiting) == 2
    assert figure(story.busy, 'ecurie_workers{state="busy"}') == 1


def test_promtool_has_nothing_to_say_about_the_figures(story: Story) -> None:
    assert promtool("check", "metrics", given=story.metrics) == ""


def test_every_query_of_dashboard_and_alerts_asks_for_what_there_is(story: Story) -> None:
    kinds = dict(re.findall(r"^# TYPE (\S+) (\S+)$", story.metrics, re.MULTILINE))
    known = set(kinds) | {"up"}
    for name, kind in kinds.items():
        if kind == "histogram":
            known |= {f"{name}_bucket", f"{name}_sum", f"{name}_count"}
    for text in expressions():
        bare = re.sub(r"\{.*?\}|\[.*?\]|\b(?:by|without) \(.*?\)|\"[^\"]*\"|\b\d+\w*", " ", text)
        asked = set(re.findall(r"[a-zA-Z_:][\w:]*", bare)) - WORDS
        assert asked, text
        assert asked <= known, (text, asked - known)


def test_prometheus_answers_every_query(story: Story) -> None:
    """Those of what did not happen here with nothing: there is no accelerator, and no fault."""
    empty = {text for text, found in story.queried.items() if not found}
    shown = {
        target["expr"].replace("$__rate_interval", "5m") for panel in SHOWING for target in panel["targets"]
    }
    assert {text for text in empty & shown if "vram" not in text and "queue" not in text} == set()
    assert "EcurieJobsFail" not in story.alerts
    assert not {"EcurieDown", "EcurieStoreDown", "EcurieNoWorker", "EcurieDiskFull"} & set(story.alerts)


def test_the_page_of_figures_lists_exactly_those_that_there_are(story: Story) -> None:
    page = (ROOT / "docs" / "metrics.md").read_text()
    assert table_of(story.busy) in page


def table_of(metrics: str) -> str:
    """The table of docs/metrics.md, from what a server tells."""
    kinds = dict(re.findall(r"^# TYPE (\S+) (\S+)$", metrics, re.MULTILINE))
    rows = []
    for name, text in re.findall(r"^# HELP (ecurie_\S+) (.*)$", metrics, re.MULTILINE):
        if name.endswith("_created"):
            continue
        sample = re.search(rf"^{name}(?:_count)?\{{(.*)\}} ", metrics, re.MULTILINE)
        labels = re.findall(r"(\w+)=\"", sample[1]) if sample else []
        if not sample and "_worker_" in name:
            labels = ["worker"]
        told = ", ".join(f"`{label}`" for label in labels if label != "le")
        rows.append(f"| `{name}` | {kinds[name]} | {told} | {text} |")
    return "\n".join(sorted(rows)) + "\n"


def test_every_record_is_one_object_and_those_of_a_job_say_which(story: Story) -> None:
    records = story.records
    assert {"time", "level", "logger", "message"} <= set.intersection(*(set(one) for one in records))
    for job in story.jobs.values():
        about = [one for one in records if job["id"] in one["message"]]
        ran = job["started_at"] is not None
        assert about or not ran
        assert all((one["job"], one["model"]) == (job["id"], "sdxl-base") and one["worker"] for one in about)
    asked = Counter(
        one["message"].split(" in ")[0] for one in records if one["logger"] == "ecurie.api.observer"
    )
    assert asked["POST /generate: 422"] == 3
    assert asked["POST /generate: 200"] == 4


def test_no_prompt_is_in_a_log_or_a_trace(story: Story) -> None:
    log = story.server.log
    assert "failed: " in log
    assert SECRET not in log
    assert SECRET.encode() not in story.collector.content


def test_a_trace_goes_from_the_client_to_the_saved_image(story: Story) -> None:
    (request, submit) = story.spans("ecurie", TRACE)
    assert (request.name, request.parent) == ("POST /generate", CALLER)
    assert request.attributes["http.response.status_code"] == 200
    assert (submit.name, submit.parent) == ("submit", request.id)
    whole, *parts = sorted(
        story.spans("ecurie-worker", TRACE), key=lambda one: (one.parent != submit.id, one.began)
    )
    assert (whole.name, whole.parent, whole.failed) == ("job", submit.id, False)
    assert whole.attributes["ecurie.job"] == story.jobs["drawn"]["id"]
    assert {one.parent for one in parts} == {whole.id}
    image = ["denoise", "decode", "save"]
    before = ["queue", "prepare", "switch model", "switch stack", "encode"]
    assert [one.name for one in parts] == [*before, *image, *image]
    assert all(one.ended == after.began for one, after in itertools.pairwise(parts))
    assert (parts[0].began, parts[-1].ended) == (whole.began, whole.ended)
    timings = story.jobs["drawn"]["result"]["timings"]
    for name in ("denoise", "decode"):
        seconds = sum(one.ended - one.began for one in parts if one.name == name) / 1e9
        assert seconds == pytest.approx(timings[name], rel=0.3, abs=0.2)


def test_a_job_without_a_trace_begins_one_and_a_failure_shows(story: Story) -> None:
    jobs = {
        one.attributes["ecurie.job"]: one
        for one in story.collector.spans
        if one.name == "job" and one.trace != TRACE
    }
    failed, stopped = (jobs[story.jobs[name]["id"]] for name in ("failed", "stopped"))
    assert (failed.failed, failed.attributes["ecurie.outcome"]) == (True, "failed")
    assert (stopped.failed, stopped.attributes["ecurie.outcome"]) == (False, "cancelled")
    submits = {one.id for one in story.collector.spans if one.name == "submit"}
    assert {one.parent for one in jobs.values()} <= submits


def test_nothing_of_opentelemetry_is_imported_where_nobody_traces() -> None:
    """But its interface, by FastAPI, which does nothing by itself."""
    program = (
        "import sys, ecurie.api.app, ecurie.worker.loop, ecurie.bootstrap;"
        "print([name for name in sys.modules if name.startswith(('opentelemetry.sdk', 'opentelemetry.exp'))])"
    )
    shown = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "[]"
