"""What GET /metrics tells, and to whom."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families
from starlette.testclient import TestClient

from ecurie.catalog.catalog import BUILTIN, Catalog
from ecurie.domain import Seen, Timings
from ecurie.errors import StoreUnavailable
from ecurie.jobs.store import JobStore
from ecurie.jobs.workers import WorkerRow
from ecurie.service import Service
from tests.unit.api.serving import make_client, make_service
from tests.unit.jobs.test_store import REQUEST, RESULT, claim

MEMORY = {"ram_used": 5, "ram_peak": 6, "ram_free": 7, "ram_budget": 8, "vram_budget": 0, "models": [{}, {}]}
WORKER = WorkerRow("w1", "gpu.test", 7, "1.0", "cuda:0", "float16", 1000.0, 0.0, MEMORY, job="j")


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    store = JobStore(f"sqlite:///{tmp_path / 'jobs.db'}")
    yield make_service(Catalog(BUILTIN["demo"], tmp_path), store, tmp_path)
    store.close()


def figures(asked: TestClient, headers: dict[str, str] | None = None) -> dict[str, float]:
    """Each sample as Prometheus names it, `name{label="value"}`."""
    answer = asked.get("/metrics", headers=headers)
    assert answer.headers["content-type"].startswith("text/plain; version=")
    return {
        f"{one.name}{{{','.join(f'{key}={value}' for key, value in sorted(one.labels.items()))}}}": one.value
        for family in text_string_to_metric_families(answer.text)
        for one in family.samples
    }


def draw(service: Service, **changes: object) -> None:
    service.store.add(
        dataclasses.replace(REQUEST, **changes),  # type: ignore[arg-type]
        priority=0, stack="", max_queue=10,
    )  # fmt: skip


def test_jobs_queue_and_workers_are_told(service: Service) -> None:
    draw(service)
    result = dataclasses.replace(RESULT, timings=Timings(denoise=1.5), model_read=True)
    service.store.claims.succeed(claim(service.store), result, Seen(steps=(0.02, 0.2)))
    draw(service)
    draw(service, model="pony-xl-v6")
    service.store.workers.tell(WORKER)
    told = figures(make_client(service))
    expected = {
        "ecurie_jobs_finished_total{model=sdxl-base,outcome=succeeded}": 1,
        "ecurie_jobs_finished_total{model=pony-xl-v6,outcome=failed}": 0,
        "ecurie_jobs{state=queued}": 2,
        "ecurie_queue_jobs{model=pony-xl-v6,priority=normal}": 1,
        "ecurie_job_phase_seconds_sum{phase=denoise}": 1.5,
        "ecurie_switch_seconds_count{kind=model}": 1,
        "ecurie_step_seconds_bucket{le=0.01,model=sdxl-base}": 0,
        "ecurie_step_seconds_bucket{le=0.1,model=sdxl-base}": 1,
        "ecurie_step_seconds_bucket{le=+Inf,model=sdxl-base}": 2,
        "ecurie_step_seconds_count{model=sdxl-base}": 2,
        "ecurie_workers{state=busy}": 1,
        "ecurie_worker_ram_peak_bytes{worker=w1}": 6,
        "ecurie_worker_models{worker=w1}": 2,
        "ecurie_store_up{}": 1,
        "ecurie_catalog_broken{}": 0,
    }
    assert {name: told[name] for name in expected} == expected
    assert 0 <= told["ecurie_queue_oldest_seconds{model=sdxl-base,priority=normal}"] < 60
    assert not [name for name in told if "vram_used" in name], "there is no accelerator to tell of"
    assert told["process_resident_memory_bytes{}"] > 1e6


def test_every_api_process_tells_the_same_of_jobs_whenever_it_started(service: Service) -> None:
    first = make_client(service)
    draw(service)
    service.store.claims.succeed(claim(service.store), RESULT)
    before = figures(first)
    draw(service)
    service.store.claims.succeed(claim(service.store), RESULT)
    name = "ecurie_images_total{model=sdxl-base}"
    assert (before[name], figures(first)[name], figures(make_client(service))[name]) == (2, 4, 4)


def test_requests_are_told_by_route_and_never_by_what_a_client_wrote(service: Service) -> None:
    asked = make_client(service)
    for path in ("/jobs/one", "/jobs/two", "/no/such", "/neither"):
        assert asked.get(path).status_code == 404
    asked.request("BREW", "/healthz")
    asked.get("/healthz", headers={"host": "evil.test"})
    told = {name: value for name, value in figures(asked).items() if "http_requests_total" in name}
    assert told == {
        "ecurie_http_requests_total{method=GET,route=/jobs/{job_id},status=404}": 2,
        "ecurie_http_requests_total{method=GET,route=none,status=404}": 2,
        "ecurie_http_requests_total{method=other,route=/healthz,status=405}": 1,
        "ecurie_http_requests_total{method=GET,route=none,status=403}": 1,
    }


def test_listeners_are_counted_while_they_listen(service: Service) -> None:
    draw(service)
    (job,) = service.store.latest(1, None)
    asked = make_client(service)
    service.store.cancel(job.id)
    with asked.stream("GET", f"/jobs/{job.id}/events") as answer:
        answer.read()
    told = figures(asked)
    assert told["ecurie_event_listeners{}"] == 0
    route = "/jobs/{job_id}/events"
    assert told[f"ecurie_http_request_duration_seconds_count{{method=GET,route={route}}}"] == 1


def test_while_the_store_is_away_the_rest_is_told(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> None:
        raise StoreUnavailable("away")

    monkeypatch.setattr(service.store.figures, "counted", refuse)
    told = figures(make_client(service))
    assert told["ecurie_store_up{}"] == 0
    assert not [name for name in told if name.startswith("ecurie_jobs")]
    assert "process_cpu_seconds_total{}" in told


def test_a_mistake_in_the_catalogue_is_told(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(type(service.catalog), "error", ValueError("line 3"))
    assert figures(make_client(service))["ecurie_catalog_broken{}"] == 1


def test_openmetrics_is_answered_where_it_is_asked_for(service: Service) -> None:
    accept = "application/openmetrics-text; version=1.0.0"
    answer = make_client(service).get("/metrics", headers={"accept": accept})
    assert answer.headers["content-type"].startswith("application/openmetrics-text")
    assert answer.text.endswith("# EOF\n")


def test_figures_of_everybody_need_a_key_where_others_do(service: Service) -> None:
    asked = make_client(service, api_key="s3cret")
    assert asked.get("/metrics").status_code == 401
    told = figures(make_client(service, api_key="s3cret"), {"authorization": "Bearer s3cret"})
    assert told["ecurie_store_up{}"] == 1
    assert told["ecurie_workers{state=idle}"] == 0


def test_the_access_log_tells_routes(service: Service, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "ecurie.api.observer"):
        make_client(service).get("/jobs/secret")
        assert caplog.text == ""
        make_client(service, access_log=True).get("/jobs/secret")
    assert "GET /jobs/{job_id}: 404 in 0." in caplog.text
    assert "secret" not in caplog.text
