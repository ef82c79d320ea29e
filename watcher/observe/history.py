"""Samples of the last hour of a watcher, for the page for operators.

A sample is taken from the metrics every few seconds, so the loops of the watcher need no code for it. Samples are kept only in memory.
"""

from __future__ import annotations

import math
import time
from collections import defaultdict, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import anyio
from prometheus_client.metrics_core import Metric

from watcher.core.polling.target_quota import TargetQuota
from watcher.kinds.kind import Quota
from watcher.observe.metrics import Metrics

if TYPE_CHECKING:
    from watcher.kinds.catalog import Catalog

EVERY_S = 5.0
"""Seconds between two samples."""
KEPT = 720
"""The number of samples that are kept: one hour."""
ANSWERED = ("unchanged", "changed", "stale")
"""The outcomes of polls that showed the task. All others, except `throttled`, count as failed."""
THROTTLED = "throttled"
WINDOW = 12
"""The number of samples over which lag and calls per task are averaged: one minute, because a few seconds can have no change."""
GROUPS = ("answered", THROTTLED, "failed")


@dataclass(frozen=True, slots=True)
class QuotaSample:
    """The calls under one quota. Rates are calls per second in the time since the sample before."""

    answered: float
    throttled: float
    failed: float
    pace: float
    """The call rate that the pace allows."""
    price_s: float
    """The expected lag at which a task is polled."""


@dataclass(frozen=True, slots=True)
class Sample:
    """The watcher at one time, and what happened since the sample before. Rates are per second."""

    at: float
    """Seconds since the epoch."""
    open: int
    """Open watches of this process."""
    events: float
    """Committed events per second."""
    lag_mean_s: float | None
    """The mean lag of the changes of the last minute whose lag is known. None: there was no such change."""
    lag_p95_s: float | None
    """The 95th percentile of the lag of these changes, interpolated between the limits of the histogram."""
    calls_per_task: float | None
    """The mean number of calls about a task whose watch ended in the last minute. None: none ended."""
    quotas: Mapping[str, QuotaSample]
    backlog: Mapping[str, int]
    """By sink, the events that are not settled."""


@dataclass(slots=True)
class _Totals:
    """The counters at one time. `at` is in monotonic seconds."""

    at: float
    events: float = 0.0
    calls: dict[tuple[str, str], float] = field(default_factory=lambda: defaultdict(float))
    """By quota, as `TargetQuota.name` has it, and group of outcomes."""
    lag: dict[float, float] = field(default_factory=lambda: defaultdict(float))
    """Cumulative counts by upper limit, as in the histogram."""
    lag_sum: float = 0.0
    ended: float = 0.0
    ended_calls: float = 0.0


class History:
    """The samples of the last hour. `wall` returns seconds since the epoch, `mono` monotonic seconds."""

    every_s = EVERY_S

    def __init__(
        self, metrics: Metrics, catalog: Catalog, *, wall: Callable[[], float] = time.time, mono: Callable[[], float] = anyio.current_time
    ) -> None:
        self._metrics = metrics
        self._quotas = {kind.name: kind.quota for kind in catalog}
        self._wall = wall
        self._mono = mono
        self._samples: deque[Sample] = deque(maxlen=KEPT)
        self._window: deque[_Totals] = deque(maxlen=WINDOW + 1)

    def since(self, at: float) -> Sequence[Sample]:
        """The samples that are newer than this time (seconds since the epoch), the oldest first."""
        return [sample for sample in self._samples if sample.at > at]

    def rate(self, quota: str, seconds: float) -> QuotaSample | None:
        """The mean of the samples of the last `seconds` under one quota, with the newest pace and price. None: there is no sample.

        `quota` is the name that `TargetQuota.name` has.
        """
        recent = [
            sample.quotas[quota] for sample in list(self._samples)[-max(1, round(seconds / self.every_s)) :] if quota in sample.quotas
        ]
        if not recent:
            return None
        answered, throttled, failed = (sum(getattr(sample, group) for sample in recent) / len(recent) for group in GROUPS)
        return QuotaSample(answered, throttled, failed, recent[-1].pace, recent[-1].price_s)

    async def run(self) -> None:
        """Take a sample every few seconds, until cancelled."""
        self.begin()
        while True:
            await anyio.sleep(self.every_s)
            self.take()

    def begin(self) -> None:
        """Set the start of the first sample. Call it before `take`."""
        self._window.append(self._totals())

    def take(self) -> None:
        """Take a sample now."""
        before, now, metrics = self._window[-1], self._totals(), self._metrics
        self._window.append(now)
        first = self._window[0]
        elapsed = max(1e-3, now.at - before.at)
        lag = {limit: count - first.lag[limit] for limit, count in sorted(now.lag.items())}
        changes, ended = lag.get(math.inf, 0.0), now.ended - first.ended
        self._samples.append(
            Sample(
                at=round(self._wall(), 3),
                open=round(sum(sums_by("kind", metrics.watches).values())),
                events=(now.events - before.events) / elapsed,
                lag_mean_s=(now.lag_sum - first.lag_sum) / changes if changes else None,
                lag_p95_s=quantile(lag, 0.95),
                calls_per_task=(now.ended_calls - first.ended_calls) / ended if ended else None,
                quotas=self._quota_samples(before, now, elapsed),
                backlog={sink: round(count) for sink, count in sums_by("sink", metrics.outbox_events).items()},
            )
        )

    def _quota_samples(self, before: _Totals, now: _Totals, elapsed: float) -> dict[str, QuotaSample]:
        pace, price = _by_quota(self._metrics.pace_rate), _by_quota(self._metrics.price)
        found = {}
        for quota in dict.fromkeys(name for name, _ in now.calls):
            answered, throttled, failed = ((now.calls[quota, group] - before.calls[quota, group]) / elapsed for group in GROUPS)
            found[quota] = QuotaSample(answered, throttled, failed, pace.get(quota, 0.0), price.get(quota, 0.0))
        return found

    def _totals(self) -> _Totals:
        totals, metrics = _Totals(self._mono()), self._metrics
        totals.events = sum(sums_by("kind", metrics.events).values())
        for labels, _, value in _samples(metrics.polls, "_total"):
            group = labels["outcome"] if labels["outcome"] == THROTTLED else "answered" if labels["outcome"] in ANSWERED else "failed"
            totals.calls[TargetQuota(self._quotas[labels["kind"]], labels["target"]).name, group] += value
        for labels, suffix, value in _samples(metrics.detection_lag, "_bucket", "_sum"):
            if suffix == "_sum":
                totals.lag_sum += value
            else:
                totals.lag[float(labels["le"])] += value
        for _, suffix, value in _samples(metrics.calls_per_task, "_count", "_sum"):
            if suffix == "_sum":
                totals.ended_calls += value
            else:
                totals.ended += value
        return totals


def quantile(cumulative: Mapping[float, float], share: float) -> float | None:
    """A quantile of a histogram, interpolated within its bucket as Prometheus does. None: it is empty.

    `cumulative` has the counts up to each upper limit, in order; the last limit is infinite.
    """
    total = cumulative.get(math.inf, 0.0)
    if total <= 0:
        return None
    lower = below = 0.0
    for limit, count in cumulative.items():
        if count >= share * total and math.isfinite(limit):
            return lower + (limit - lower) * (share * total - below) / max(count - below, 1e-9)
        if math.isfinite(limit):
            lower, below = limit, count
    return lower


def sums_by(label: str, metric: object, **wanted: str) -> dict[str, float]:
    """The sums of a gauge or counter by one of its labels, over the series whose other labels are as `wanted`."""
    sums: dict[str, float] = defaultdict(float)
    for labels, _, value in _samples(metric, "", "_total"):
        if wanted.items() <= labels.items():
            sums[labels[label]] += value
    return sums


def _by_quota(metric: object) -> dict[str, float]:
    """The values of a gauge by `TargetQuota.name`."""
    return {TargetQuota(Quota(labels["quota"], ""), labels["target"]).name: value for labels, _, value in _samples(metric, "")}


def _samples(metric: object, *suffixes: str) -> Iterator[tuple[Mapping[str, str], str, float]]:
    """The samples of a metric whose name ends in one of the suffixes, each with its labels."""
    families: Sequence[Metric] = metric.collect()  # type: ignore[attr-defined]  # every metric has it
    for family in families:
        for sample in family.samples:
            suffix = sample.name.removeprefix(family.name)
            if suffix in suffixes:
                yield sample.labels, suffix, sample.value
