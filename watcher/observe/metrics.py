"""Every metric of the watcher, declared once, with its help.

Each `Metrics` has a registry of its own, so several watchers can live in one process. Label values are words of ours
(outcomes, reasons, kinds, names out of the configuration): never an id, never a word that the outside world chose.
What comes from outside goes through `status_label` or `reason_label` first. Nothing in here waits, logs or decides.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    GCCollector,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

from watcher import __version__
from watcher.kinds.catalog import Catalog

# A `_created` beside each series is a third more to store and answers no question about the watcher.
disable_created_metrics()  # type: ignore[no-untyped-call]  # unannotated in prometheus_client

CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4
"""Of what `render` returns."""
NEW = "new"
OTHER = "other"
POLL_OUTCOMES = (
    "unchanged",
    "changed",
    "throttled",
    "unavailable",
    "busy",
    "not_found",
    "denied",
    "invalid",
    "credentials",
    "unreadable",
    "stale",
)
MAX_REASONS = 64
"""Different words that `reason_label` lets through in one process. The watcher itself has about thirty."""

_OUR_WORD = re.compile(r"[a-z]{1,24}(_[a-z]{1,24}){0,4}(_[1-5][0-9][0-9])?")
_CALL_BUCKETS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 15)
_LAG_BUCKETS = (0.1, 0.25, 0.5, 1, 2, 3, 5, 10, 20, 30, 60, 120, 300, 600)
_COUNT_BUCKETS = (1, 2, 3, 4, 5, 6, 8, 10, 15, 20, 50, 100, 500)
_STORE_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5)


def status_label(catalog: Catalog, kind: str, status: str | None) -> str:
    """A status as a label: `new` before the first observation, `other` for a status that this kind does not declare."""
    if status is None:
        return NEW
    known = catalog.get(kind)
    return status if known is not None and status in known.statuses else OTHER


class Metrics:
    """The metrics of one watcher. Counters end in `_total`; times are in seconds."""

    def __init__(self, catalog: Catalog) -> None:
        self.registry = CollectorRegistry()
        self._catalog = catalog
        self._reasons: set[str] = set()
        self._intake()
        self._polling()
        self._spending()
        self._delivery()
        self._house()
        self._begin_at_zero()

    def render(self) -> bytes:
        """All metrics in the text format 0.0.4 (`CONTENT_TYPE`)."""
        return generate_latest(self.registry)

    def reason_label(self, reason: str) -> str:
        """A reason as a label: a lower-case word of ours, `other` for anything else and for more than `MAX_REASONS` words."""
        if reason in self._reasons:
            return reason
        if len(self._reasons) >= MAX_REASONS or not _OUR_WORD.fullmatch(reason):
            return OTHER
        self._reasons.add(reason)
        return reason

    def show_watches(self, counts: Mapping[tuple[str, str | None], int]) -> None:
        """Open watches by (kind, status) as they are now; a state that nobody is in any more shows 0."""
        shown = dict.fromkeys(((kind.name, status) for kind in self._catalog for status in (NEW, *kind.statuses, OTHER)), 0)
        for (kind, status), count in counts.items():
            label = (kind, status_label(self._catalog, kind, status))
            shown[label] = shown.get(label, 0) + count
        for label, count in shown.items():
            self.watches.labels(*label).set(count)

    def show_circuit(self, circuit: str, target: str, service: str | None, opened: bool) -> None:
        """Whether a circuit is open. The credentials circuit of a target concerns all its services: its `service` is empty."""
        self.circuit_open.labels(circuit, target, service or "").set(opened)

    def _intake(self) -> None:
        self.inputs = self._counter("watcher_inputs_total", "Inputs taken off a source, by what became of them.", ["source", "outcome"])
        self.acks = self._counter(
            "watcher_acks_total", "Inputs acknowledged, or kept a while longer, at their source.", ["source", "outcome"]
        )

    def _polling(self) -> None:
        self.watches = self._gauge("watcher_watches", "Open watches by the last observed status.", ["kind", "status"])
        self.polls = self._counter("watcher_polls_total", "Calls to the watched service, by what they gave.", ["kind", "outcome"])
        self.poll_seconds = self._histogram(
            "watcher_poll_duration_seconds", "How long a call to the watched service took.", _CALL_BUCKETS, ["kind"]
        )
        self.in_flight = self._gauge("watcher_polls_in_flight", "Calls to the watched service under way.")
        self.events = self._counter("watcher_events_total", "Events committed, by CloudEvents type.", ["kind", "type"])
        self.ended = self._counter("watcher_watches_ended_total", "Watches that ended, by reason.", ["kind", "reason"])

    def _spending(self) -> None:
        self.detection_lag = self._histogram(
            "watcher_detection_lag_seconds", "From a change of status at the service to our sight of it.", _LAG_BUCKETS, ["kind"]
        )
        self.calls_per_task = self._histogram("watcher_calls_per_task", "Calls spent on a watch until it ended.", _COUNT_BUCKETS, ["kind"])
        self.pace_rate = self._gauge("watcher_pace_calls_per_second", "The rate at which calls may go.", ["target", "quota"])
        self.pace_throttles = self._counter(
            "watcher_pace_throttles_total", "Times the service said that we are too fast.", ["target", "quota"]
        )
        self.price = self._gauge("watcher_cadence_price_seconds", "Expected lag that a call must save to be worth making.", ["quota"])
        self.due_lateness = self._gauge("watcher_due_lateness_seconds", "How late the most overdue watch is.", ["quota"])

    def _delivery(self) -> None:
        self.outbox_events = self._gauge("watcher_outbox_events", "Events a sink has still to take.", ["sink"])
        self.outbox_age = self._gauge("watcher_outbox_age_seconds", "Age of the oldest event a sink has still to take.", ["sink"])
        self.deliveries = self._counter("watcher_deliveries_total", "Events handed to a sink, by its answer.", ["sink", "outcome"])
        self.delivery_seconds = self._histogram(
            "watcher_delivery_duration_seconds", "Time a sink took for one batch.", _CALL_BUCKETS, ["sink"]
        )
        self.dead_letters = self._counter(
            "watcher_dead_letters_total", "What could not be taken in (input) or delivered (event).", ["what", "origin", "reason"]
        )

    def _house(self) -> None:
        self.circuit_open = self._gauge(
            "watcher_circuit_open", "1 while a circuit is open: its calls are held back.", ["circuit", "target", "service"]
        )
        self.loop_lag = self._gauge("watcher_loop_lag_seconds", "Worst delay of the event loop in the last 30 seconds.")
        self.store_seconds = self._histogram(
            "watcher_store_operation_duration_seconds", "How long an operation of the store took.", _STORE_BUCKETS, ["operation"]
        )
        self.build_info = self._gauge("watcher_build_info", "1, labelled with the version that runs.", ["version"])
        for collector in (ProcessCollector, PlatformCollector, GCCollector):
            collector(registry=self.registry)

    def _begin_at_zero(self) -> None:
        """A series that begins at 1 hides its first increase from `rate`."""
        self.build_info.labels(__version__).set(1)
        self.show_watches({})
        for kind in self._catalog:
            for outcome in POLL_OUTCOMES:
                self.polls.labels(kind.name, outcome)

    def _counter(self, name: str, told: str, labels: Collection[str] = ()) -> Counter:
        return Counter(name, told, tuple(labels), registry=self.registry)

    def _gauge(self, name: str, told: str, labels: Collection[str] = ()) -> Gauge:
        return Gauge(name, told, tuple(labels), registry=self.registry)

    def _histogram(self, name: str, told: str, buckets: tuple[float, ...], labels: Collection[str] = ()) -> Histogram:
        return Histogram(name, told, tuple(labels), registry=self.registry, buckets=buckets)
