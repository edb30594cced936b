"""What the workers that are there say of themselves, as Prometheus reads it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from prometheus_client.core import GaugeMetricFamily, Metric

from ecurie.jobs.workers import WorkerRow

MEMORY = {
    "ram_used": ("ecurie_worker_ram_used_bytes", "Host memory of a worker, mapped files included."),
    "ram_peak": ("ecurie_worker_ram_peak_bytes", "The most host memory that a worker has had."),
    "ram_free": ("ecurie_worker_ram_free_bytes", "Host memory that is free on a worker's machine."),
    "ram_budget": ("ecurie_worker_ram_budget_bytes", "Host memory that a worker's models may take."),
    "vram_used": ("ecurie_worker_vram_used_bytes", "Accelerator memory of a worker's tensors."),
    "vram_peak": ("ecurie_worker_vram_peak_bytes", "The most accelerator memory of a worker's tensors."),
    "vram_free": ("ecurie_worker_vram_free_bytes", "Accelerator memory that is free on a worker's device."),
    "vram_budget": ("ecurie_worker_vram_budget_bytes", "Accelerator memory that a worker's models may take."),
}
"""Told at each phase of a job and at its end."""
INFO = ("worker", "host", "device", "dtype", "version")


def worker_families(workers: list[WorkerRow]) -> Iterator[Metric]:
    states = GaugeMetricFamily("ecurie_workers", "Workers that are there, by state.", labels=("state",))
    idle = sum(worker.idle for worker in workers)
    states.add_metric(("idle",), idle)
    states.add_metric(("busy",), len(workers) - idle)
    info = GaugeMetricFamily("ecurie_worker_info", "What a worker is.", labels=INFO)
    for worker in workers:
        info.add_metric((worker.name, worker.host, worker.device, worker.dtype, worker.version), 1)
    yield from (states, info)
    yield _of_each(
        "ecurie_worker_start_time_seconds",
        "When a worker started, since 1970.",
        ((worker.name, worker.started_at) for worker in workers),
    )
    yield _of_each(
        "ecurie_worker_models",
        "Models in a worker's memory.",
        ((worker.name, len(worker.memory.get("models", []))) for worker in workers),
    )
    for field, (name, text) in MEMORY.items():
        told = ((worker.name, worker.memory[field]) for worker in workers if field in worker.memory)
        yield _of_each(name, text, told)


def _of_each(name: str, text: str, values: Iterable[tuple[str, float]]) -> Metric:
    family = GaugeMetricFamily(name, text, labels=("worker",))
    for worker, value in values:
        family.add_metric((worker,), value)
    return family
