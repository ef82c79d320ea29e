"""The last hour in samples, read from the metrics."""

import math

import pytest

from watcher.kinds.catalog import builtin_catalog
from watcher.observe.history import KEPT, WINDOW, History, quantile
from watcher.observe.metrics import Metrics


class Recorded:
    """Metrics, and a history of them whose time the test moves."""

    def __init__(self):
        self.now = 0.0
        self.metrics = Metrics(builtin_catalog())
        self.history = History(self.metrics, builtin_catalog(), wall=lambda: 1000 + self.now, mono=lambda: self.now)
        self.history.begin()

    def sample(self, after=5.0):
        self.now += after
        self.history.take()
        return self.history.since(0)[-1]


@pytest.fixture
def recorded():
    return Recorded()


def test_calls_are_rates_by_quota_and_outcome(recorded):
    """Calls are counted per second since the last sample, as answered, throttled, or failed, with the pace and the price."""
    for outcome, polls in {"unchanged": 20, "changed": 5, "throttled": 10, "unavailable": 4, "denied": 1}.items():
        recorded.metrics.polls.labels("default", "speaker-search", outcome).inc(polls)
    recorded.metrics.pace_rate.labels("default", "speaker-search").set(8)
    recorded.metrics.price.labels("default", "speaker-search").set(0.5)
    found = recorded.sample(after=5).quotas
    speaker, tone = found["speaker-search"], found["voice-tone"]
    assert (speaker.answered, speaker.throttled, speaker.failed, speaker.pace, speaker.price_s) == (5, 2, 1, 8, 0.5)
    assert (tone.answered, tone.throttled, tone.failed) == (0, 0, 0)
    assert recorded.sample().quotas["speaker-search"].answered == 0


def test_lag_and_calls_per_task_are_those_of_the_last_minute(recorded):
    """Lag and calls per task are taken over one minute, so that they do not disappear between two changes, and then they are missing."""
    recorded.metrics.detection_lag.labels("speaker-search").observe(0.4)
    recorded.metrics.detection_lag.labels("voice-tone").observe(1.6)
    recorded.metrics.calls_per_task.labels("speaker-search").observe(7)
    found = [recorded.sample() for _ in range(WINDOW + 1)]
    assert [sample.lag_mean_s for sample in found] == [1.0] * WINDOW + [None]
    assert [sample.calls_per_task for sample in found] == [7.0] * WINDOW + [None]
    assert 1 < found[0].lag_p95_s <= 2
    assert found[-1].lag_p95_s is None


def test_gauges_and_events_are_summed(recorded):
    """Open tasks and events are sums over all kinds, and the backlog is given by sink."""
    recorded.metrics.show_watches({("speaker-search", "IN_PROGRESS"): 3, ("voice-tone", None): 2})
    recorded.metrics.events.labels("speaker-search", "watcher.task.transition.v1").inc(10)
    recorded.metrics.outbox_events.labels("bus").set(4)
    found = recorded.sample(after=2)
    assert (found.open, found.events, found.backlog, found.at) == (5, 5.0, {"bus": 4}, 1002.0)


def test_one_hour_is_kept(recorded):
    """Samples older than an hour are dropped, and a reader gets those that are newer than its last one."""
    for _ in range(KEPT + 10):
        recorded.sample()
    kept = recorded.history.since(0)
    assert len(kept) == KEPT
    assert recorded.history.since(kept[-3].at) == kept[-2:]


def test_the_present_rate_is_the_mean_of_the_last_samples(recorded):
    """The present rate of calls is a mean over the last samples, with the newest pace; there is none before the first sample."""
    assert recorded.history.rate("speaker-search", 10) is None
    for polls, pace in ((50, 3), (10, 4), (20, 5)):
        recorded.metrics.polls.labels("default", "speaker-search", "unchanged").inc(polls)
        recorded.metrics.pace_rate.labels("default", "speaker-search").set(pace)
        recorded.sample()
    found = recorded.history.rate("speaker-search", 10)
    assert (found.answered, found.pace) == (3.0, 5)


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        ({1.0: 0, 2.0: 0, math.inf: 0}, None),
        ({1.0: 0, 2.0: 100, math.inf: 100}, 1.95),
        ({1.0: 90, 2.0: 100, math.inf: 100}, 1.5),
        ({1.0: 0, 2.0: 0, math.inf: 3}, 2.0),
    ],
)
def test_a_quantile_is_interpolated(counts, expected):
    """A quantile lies within its bucket as in Prometheus; beyond the last limit it is that limit; an empty histogram has none."""
    assert quantile(counts, 0.95) == (None if expected is None else pytest.approx(expected))
