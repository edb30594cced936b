"""All figures, as Prometheus reads them: of the job database, of the workers, and of this process."""

from __future__ import annotations

import json
import logging
import platform
import time
from collections.abc import Iterable, Iterator, Mapping

from prometheus_client import CollectorRegistry, GCCollector, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

import ecurie
from ecurie.api.request_figures import RequestFigures
from ecurie.api.worker_families import worker_families
from ecurie.domain import Priority
from ecurie.errors import StoreUnavailable
from ecurie.jobs.counting import Series, bound
from ecurie.jobs.measures import FINISHED, MEASURES, OUTCOMES, Measure
from ecurie.service import Service

log = logging.getLogger(__name__)
INFINITY = bound(float("inf"))


class Exposition:
    """What `GET /metrics` answers with."""

    def __init__(self, requests: RequestFigures, service: Service):
        self._registry = requests.registry
        self._registry.register(StoreFigures(service))
        _add_process(self._registry)

    def written(self, accept: str) -> tuple[bytes, str]:
        """The figures and their media type, as the client asks for it."""
        encoder, media_type = choose_encoder(accept)
        return encoder(self._registry), media_type


def _add_process(registry: CollectorRegistry) -> None:
    ProcessCollector(registry=registry)
    GCCollector(registry=registry)


class StoreFigures(Collector):
    """Asked anew at each scrape, of the tables; so every API process tells the same."""

    def __init__(self, service: Service):
        self._service = service

    def describe(self) -> Iterable[Metric]:
        """Nothing is asked of the database when this is registered."""
        return ()

    def collect(self) -> Iterator[Metric]:
        error = self._service.catalog.error
        yield _gauge("ecurie_catalog_broken", "1 while the catalogue file has a mistake.", error is not None)
        build = GaugeMetricFamily("ecurie_build_info", "The version.", labels=("version", "python"))
        build.add_metric((ecurie.__version__, platform.python_version()), 1)
        yield build
        try:
            found = list(self._of_store())
        except StoreUnavailable:
            found = []
        yield _gauge("ecurie_store_up", "1 while the job database answers.", bool(found))
        yield from found

    def _of_store(self) -> Iterator[Metric]:
        store = self._service.store
        yield from self._queue()
        states = GaugeMetricFamily("ecurie_jobs", "Jobs in the table, by state.", labels=("state",))
        for state, number in store.counts().items():
            states.add_metric((state,), number)
        yield states
        yield from worker_families(self._service.workers())
        counted = by_name(store.figures.counted())
        models = self._service.catalog.models()
        for measure in MEASURES:
            yield family(measure, counted, models)

    def _queue(self) -> Iterator[Metric]:
        labels = ("model", "priority")
        waiting = GaugeMetricFamily("ecurie_queue_jobs", "Jobs that wait.", labels=labels)
        oldest = GaugeMetricFamily(
            "ecurie_queue_oldest_seconds", "How long the first of them has waited.", labels=labels
        )
        now = time.time()
        for group in self._service.store.figures.waiting():
            names = (group.model, Priority(group.priority).label)
            waiting.add_metric(names, group.count)
            oldest.add_metric(names, max(0.0, now - group.oldest))
        yield from (waiting, oldest)


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(name, text, value)


Values = Mapping[tuple[str, ...], float]


def by_name(counted: Mapping[Series, float]) -> dict[str, dict[tuple[str, ...], float]]:
    """Name to label values to value."""
    found: dict[str, dict[tuple[str, ...], float]] = {}
    for (name, labels), value in counted.items():
        found.setdefault(name, {})[tuple(json.loads(labels))] = value
    return found


def family(measure: Measure, counted: Mapping[str, Values], models: Iterable[str]) -> Metric:
    """With a zero for each series that is known to come, so that its first increase is seen as one."""
    known: list[tuple[str, ...]]
    if measure is FINISHED:
        known = [(model, outcome) for model in models for outcome in OUTCOMES]
    else:
        known = [(value,) for value in measure.values] if measure.labels else [()]
    if measure.buckets:
        return _histogram(measure, counted, known)
    values = {**dict.fromkeys(known, 0.0), **counted.get(measure.name, {})}
    counter = CounterMetricFamily(measure.name, measure.help, labels=measure.labels)
    for labels, value in sorted(values.items()):
        counter.add_metric(labels, value)
    return counter


def _histogram(measure: Measure, counted: Mapping[str, Values], known: list[tuple[str, ...]]) -> Metric:
    buckets, sums = counted.get(f"{measure.name}_bucket", {}), counted.get(f"{measure.name}_sum", {})
    histogram = HistogramMetricFamily(measure.name, measure.help, labels=measure.labels)
    bounds = [*(bound(value) for value in measure.buckets), INFINITY]
    for labels in sorted({*known, *(found[:-1] for found in buckets)}):
        total, cumulative = 0.0, []
        for upper in bounds:
            total += buckets.get((*labels, upper), 0.0)
            cumulative.append((upper, total))
        histogram.add_metric(labels, cumulative, sums.get(labels, 0.0))
    return histogram
