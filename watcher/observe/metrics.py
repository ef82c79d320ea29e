"""Declares every metric of the watcher once, with its labels and its help.

Each `Metrics` has a registry of its own, so one process can hold several watchers. Label values come from the code and
the configuration (outcomes, reasons, kinds, names), never from outside: no ids, and no texts of a service. A status or a
reason from outside goes through `status_label` or `reason_label` first. Nothing here waits, logs or decides.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from itertools import product
from typing import TYPE_CHECKING

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
from watcher.model import DEFAULT_TARGET, EventType

if TYPE_CHECKING:
    from watcher.kinds.catalog import Catalog

# a `_created` series beside each other series takes a third more storage, and answers no question about the watcher
disable_created_metrics()  # type: ignore[no-untyped-call]  # unannotated in prometheus_client

CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4
"""The content type of what `render` returns."""
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
    "batch",
)
INPUT_OUTCOMES = ("admitted", "known", "ended", "hint", "ignored", "steering_ignored")
"""Outcomes of inputs that are not rejected. Those of rejected ones are `rejected_` and a reason of `core.intake.submissions.REASONS`."""
ACK_OUTCOMES = ("acked", "extended", "failed")
DELIVERY_OUTCOMES = ("delivered", "retried", "refused")
END_REASONS = ("terminal", "settled", "deadline", "expired", "not_found", "busy", "denied", "invalid", "cancelled")
EVENT_REASONS = ("size", "characters", "invalid", OTHER)
"""Why a sink rejects an event, as far as it is known before a sink answers. A webhook adds `http_` and its status."""
STORE_OPERATIONS = ("commit",)
SHARD_CHANGES = ("adopted", "handed_over", "lost")
MAX_REASONS = 64
"""The most reasons that become label values in one process. The watcher itself has about thirty."""

Series = tuple[Counter | Histogram, tuple[Iterable[str], ...]]
"""A metric, and the values of each of its labels."""

_REASON = re.compile(r"[a-z]{1,24}(_[a-z]{1,24}){0,4}(_[1-5][0-9][0-9])?")
_CALL_BUCKETS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 15)
_LAG_BUCKETS = (0.1, 0.25, 0.5, 1, 2, 3, 5, 10, 20, 30, 60, 120, 300, 600)
_COUNT_BUCKETS = (1, 2, 3, 4, 5, 6, 8, 10, 15, 20, 50, 100, 500)
_STORE_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5)


def _create(series: Iterable[Series]) -> None:
    for metric, labels in series:
        for values in product(*labels):
            metric.labels(*values)


def status_label(catalog: Catalog, kind: str, status: str | None) -> str:
    """Return the label of a status: `new` before the first observation, `other` for a status that the kind does not declare."""
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
        self._kinds: set[str] = set()
        """The kinds that have series: those of the quotas that were added."""
        self._declare_intake()
        self._declare_polling()
        self._declare_lag_and_pace()
        self._declare_delivery()
        self._declare_ownership()
        self._declare_process()
        self.build_info.labels(__version__).set(1)
        self.start_at_zero((), ())
        for quota in catalog.default_quotas:
            self.add_quota(DEFAULT_TARGET, quota.name)

    def render(self) -> bytes:
        """Return all metrics in the text format 0.0.4 (`CONTENT_TYPE`)."""
        return generate_latest(self.registry)

    def reason_label(self, reason: str) -> str:
        """Return the label of a reason: the reason if it has the form of ours, `other` for any other text and beyond `MAX_REASONS`."""
        if reason in self._reasons:
            return reason
        if len(self._reasons) >= MAX_REASONS or not _REASON.fullmatch(reason):
            return OTHER
        self._reasons.add(reason)
        return reason

    def show_watches(self, counts: Mapping[tuple[str, str | None], int]) -> None:
        """Set the number of open watches by (kind, status). A status without watches is set to 0."""
        kinds = [kind for kind in self._catalog if kind.name in self._kinds]
        shown = dict.fromkeys(((kind.name, status) for kind in kinds for status in (NEW, *kind.statuses, OTHER)), 0)
        for (kind, status), count in counts.items():
            label = (kind, status_label(self._catalog, kind, status))
            shown[label] = shown.get(label, 0) + count
        for label, count in shown.items():
            self.watches.labels(*label).set(count)

    def show_announced(self, kind: str, status: str, share: float) -> None:
        """Set the share of the changes of a status that AWS is expected to announce, from 0 to 1."""
        self.announced_share.labels(kind, status_label(self._catalog, kind, status)).set(share)

    def start_at_zero(self, sources: Collection[str], sinks: Collection[str]) -> None:
        """Create each series whose labels are known before anything happens, those of these sources and sinks.

        `rate` and `increase` cannot see the increase of a series that begins at 1.
        """
        _create(self._series_of(sources, sinks))

    def add_quota(self, target: str, quota: str) -> None:
        """Create each series of the kinds whose calls count against this quota in this target, at 0: its first watch is there."""
        kinds = [kind for kind in self._catalog if kind.quota.name == quota]
        _create(self._series_of_calls(target, quota, [kind.name for kind in kinds]))
        new = {kind.name for kind in kinds} - self._kinds
        self._kinds |= new
        for kind in kinds:
            if kind.batch is not None:
                self.batch_limit.labels(target, kind.name).set(kind.batch_size)
            for status in (NEW, *kind.statuses, OTHER) if kind.name in new else ():
                self.watches.labels(kind.name, status)

    def show_component(self, component: str, ok: bool) -> None:
        """Set whether a component of /readyz works."""
        self.component_healthy.labels(component).set(ok)

    def show_circuit(self, circuit: str, target: str, service: str | None, opened: bool) -> None:
        """Set whether a circuit is open. All services of a target share its credentials circuit, so its `service` is empty."""
        self.circuit_open.labels(circuit, target, service or "").set(opened)

    def _declare_intake(self) -> None:
        self.inputs = self._counter("watcher_inputs_total", "Inputs received from a source, by outcome.", ["source", "outcome"])
        self.acks = self._counter("watcher_acks_total", "Acknowledgements and extensions of inputs, by outcome.", ["source", "outcome"])

    def _declare_polling(self) -> None:
        self.watches = self._gauge("watcher_watches", "Open watches by the last observed status.", ["kind", "status"])
        self.polls = self._counter("watcher_polls_total", "Polls of tasks, by outcome.", ["target", "kind", "outcome"])
        self.poll_seconds = self._histogram(
            "watcher_poll_duration_seconds", "Duration of a call to the polled service.", _CALL_BUCKETS, ["target", "kind"]
        )
        self.in_flight = self._gauge("watcher_polls_in_flight", "Calls to the polled services that are in flight.")
        self.batch_limit = self._gauge("watcher_batch_limit", "The most tasks in a call about several tasks.", ["target", "kind"])
        self.events = self._counter("watcher_events_total", "Committed events by CloudEvents type.", ["kind", "type"])
        self.ended = self._counter("watcher_watches_ended_total", "Ended watches by reason.", ["kind", "reason"])

    def _declare_lag_and_pace(self) -> None:
        self.detection_lag = self._histogram(
            "watcher_detection_lag_seconds", "Time from a change of status at the service to its observation.", _LAG_BUCKETS, ["kind"]
        )
        self.calls_per_task = self._histogram("watcher_calls_per_task", "Polls of a task until its watch ended.", _COUNT_BUCKETS, ["kind"])
        self.pace_rate = self._gauge("watcher_pace_calls_per_second", "The rate at which calls are allowed.", ["target", "quota"])
        self.pace_throttles = self._counter("watcher_pace_throttles_total", "Calls that the service throttled.", ["target", "quota"])
        self.price = self._gauge("watcher_cadence_price_seconds", "The expected lag at which a task is polled.", ["target", "quota"])
        self.announced_share = self._gauge(
            "watcher_announced_share", "The share of the changes of a status that AWS is expected to announce.", ["kind", "status"]
        )
        self.due_lateness = self._gauge("watcher_due_lateness_seconds", "How long the most overdue poll has been due.", ["target", "quota"])

    def _declare_delivery(self) -> None:
        self.outbox_events = self._gauge("watcher_outbox_events", "Events that are not yet delivered to a sink.", ["sink"])
        self.outbox_age = self._gauge(
            "watcher_outbox_age_seconds", "Age of the oldest event that is not yet delivered to a sink.", ["sink"]
        )
        self.deliveries = self._counter("watcher_deliveries_total", "Events sent to a sink, by outcome.", ["sink", "outcome"])
        self.delivery_seconds = self._histogram(
            "watcher_delivery_duration_seconds", "Duration of sending one batch to a sink.", _CALL_BUCKETS, ["sink"]
        )
        self.dead_letters = self._counter(
            "watcher_dead_letters_total", "Dead letters: invalid inputs, and events that a sink rejected.", ["what", "origin", "reason"]
        )
        self.dead_letters_kept = self._gauge("watcher_dead_letters_kept", "Dead letters in the store: inputs, or events.", ["what"])
        self.dead_letters_limit = self._gauge(
            "watcher_dead_letters_limit",
            "The number of dead letters at which intake pauses (input), or refused events stay in the outbox (event).",
            ["what"],
        )

    def _declare_ownership(self) -> None:
        self.shards = self._gauge("watcher_shards", "Shards of the store.")
        self.shards_owned = self._gauge("watcher_shards_owned", "Shards that this replica owns.")
        self.shard_changes = self._counter(
            "watcher_shard_changes_total", "Shards that this replica has adopted, handed over, or lost.", ["change"]
        )
        self.takeovers = self._counter(
            "watcher_takeovers_total", "Shards taken from replicas that did not renew their leases, counted by the one that noticed."
        )
        self.lease_age = self._gauge("watcher_lease_age_seconds", "Time since this replica last renewed its leases.")

    def _declare_process(self) -> None:
        self.component_healthy = self._gauge(
            "watcher_component_healthy", "1 while a component of /readyz works, 0 while it does not.", ["component"]
        )
        self.circuit_open = self._gauge(
            "watcher_circuit_open", "1 while a circuit is open and its calls are stopped.", ["circuit", "target", "service"]
        )
        self.loop_lag = self._gauge("watcher_loop_lag_seconds", "Longest delay of the event loop in the last 30 seconds.")
        self.store_seconds = self._histogram(
            "watcher_store_operation_duration_seconds", "Duration of a store operation.", _STORE_BUCKETS, ["operation"]
        )
        self.event_readers = self._gauge("watcher_event_readers", "Readers: clients that follow events over HTTP now.")
        self.event_readers_disconnected = self._counter(
            "watcher_event_readers_disconnected_total", "Readers that were disconnected because they read events too slowly."
        )
        self.build_info = self._gauge("watcher_build_info", "Always 1; the label is the version that runs.", ["version"])
        for collector in (ProcessCollector, PlatformCollector, GCCollector):
            collector(registry=self.registry)

    def _series_of(self, sources: Collection[str], sinks: Collection[str]) -> Iterator[Series]:
        """Each counter and histogram that is not about calls, with the known values of each of its labels."""
        from watcher.core.intake.submissions import REASONS  # here: it loads the kinds, which the names of metrics do not need

        yield self.inputs, (sources, (*INPUT_OUTCOMES, *(f"rejected_{reason}" for reason in REASONS)))
        yield self.acks, (sources, ACK_OUTCOMES)
        yield self.dead_letters, (["input"], sources, REASONS)
        yield self.dead_letters, (["event"], sinks, EVENT_REASONS)
        yield self.shard_changes, (SHARD_CHANGES,)
        yield self.store_seconds, (STORE_OPERATIONS,)
        yield self.deliveries, (sinks, DELIVERY_OUTCOMES)
        yield self.delivery_seconds, (sinks,)

    def _series_of_calls(self, target: str, quota: str, kinds: Collection[str]) -> Iterator[Series]:
        """The counters and histograms of the calls about tasks of these kinds, and of what the calls show."""
        yield self.polls, ([target], kinds, POLL_OUTCOMES)
        yield self.poll_seconds, ([target], kinds)
        yield self.pace_throttles, ([target], [quota])
        yield self.detection_lag, (kinds,)
        yield self.events, (kinds, EventType)
        yield self.ended, (kinds, END_REASONS)
        yield self.calls_per_task, (kinds,)

    def _counter(self, name: str, help_text: str, labels: Collection[str] = ()) -> Counter:
        return Counter(name, help_text, tuple(labels), registry=self.registry)

    def _gauge(self, name: str, help_text: str, labels: Collection[str] = ()) -> Gauge:
        return Gauge(name, help_text, tuple(labels), registry=self.registry)

    def _histogram(self, name: str, help_text: str, buckets: tuple[float, ...], labels: Collection[str] = ()) -> Histogram:
        return Histogram(name, help_text, tuple(labels), registry=self.registry, buckets=buckets)
