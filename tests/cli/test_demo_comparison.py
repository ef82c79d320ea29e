from __future__ import annotations

import pytest

from watcher.cli.demo_comparison import compare
from watcher.cli.demo_summary import first_looks_saved, pace

TRUTH = (("IN_QUEUE", 100.0), ("IN_PROGRESS", 103.0), ("SUCCEEDED", 120.0))


def test_a_change_is_detected_when_it_or_a_later_one_is_seen() -> None:
    """A status that was skipped counts until the next one was seen, and the creation of a task counts not at all."""
    seen = [("IN_QUEUE", 101.0), ("SUCCEEDED", 124.5)]
    found = compare([(TRUTH, seen)], end=200.0)
    assert sorted(found.detected_s) == [4.5, 21.5]
    assert found.missed_s == []


def test_the_first_sight_counts() -> None:
    """A status that is seen again, or by an older reply, counts from when it was first seen."""
    seen = [("IN_PROGRESS", 104.0), ("SUCCEEDED", 121.0), ("IN_PROGRESS", 122.0), ("SUCCEEDED", 123.0)]
    assert compare([(TRUTH, seen)], end=200.0).detected_s == [1.0, 1.0]


def test_what_was_never_detected_counts_until_the_end() -> None:
    """A change that nothing detected is as late as the end of the run; one that is still to come does not count."""
    found = compare([(TRUTH, [("IN_QUEUE", 101.0)])], end=110.0)
    assert (found.detected_s, found.missed_s) == ([], [7.0])
    assert (found.mean(), found.percentile_99()) == (7.0, 7.0)


def test_the_figures_are_of_all_changes() -> None:
    """Mean and percentile are over the changes of all tasks."""
    histories = [((("IN_QUEUE", 0.0), ("FAILED", 10.0)), [("FAILED", 10.0 + n / 10)]) for n in range(200)]
    found = compare(histories, end=60.0)
    assert found.mean() == pytest.approx(9.95)
    assert found.percentile_99() == pytest.approx(19.7)
    assert compare([], 1.0).mean() == 0


def test_a_quota_is_found_by_a_throttle_only() -> None:
    """Without a throttled call the summary says that the pace was not limited, and shows no rate above the quota."""
    assert pace(19.0, 10, throttled=0) == "not limited: no call was throttled; the quota is 10 per second"
    assert pace(9.6, 10, throttled=3) == "9.6 calls per second found; the quota is 10"


def test_a_first_look_is_saved_where_it_would_have_shown_the_first_status_only() -> None:
    """It is, if the status came with the message, or if the first call found a later one; other events are no first looks."""
    transition = "watcher.task.transition.v1"
    events = [
        {"type": transition, "data": {"from": None, "to": "IN_QUEUE", "observed_from": "poll"}},
        {"type": transition, "data": {"from": None, "to": "IN_QUEUE", "observed_from": "submission"}},
        {"type": transition, "data": {"from": None, "to": "IN_PROGRESS", "observed_from": "poll"}},
        {"type": transition, "data": {"from": "IN_PROGRESS", "to": "SUCCEEDED", "observed_from": "poll"}},
        {"type": "watcher.watch.ended.v1", "data": {"from": None, "to": None, "observed_from": "poll"}},
    ]
    assert first_looks_saved(events) == 2
