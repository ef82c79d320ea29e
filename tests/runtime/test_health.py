"""What the log says about a component that fails and works again many times; readiness and the metrics have each change."""

from __future__ import annotations

from typing import Any

import pytest
from structlog.testing import capture_logs

from tests.runtime.conftest import MakeWorld
from watcher.errors import Throttled
from watcher.model import Event
from watcher.ports import Delivered
from watcher.runtime.health import QUIET_S, Health


class Component:
    """A sink that is reported to `health`, at the time `now`."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.changes: list[bool] = []
        self.health = Health(lambda: self.now, lambda _, ok: self.changes.append(ok))
        self.health.expect("sink:a")

    def fails(self, reason: str = "throttled", *, repeated: bool = True) -> None:
        self.health.bad("sink:a", reason, "wait", repeated=repeated)

    def works(self) -> None:
        self.health.good("sink:a")


def said(lines: list[Any]) -> list[tuple[str, int]]:
    """The event of each line, and how many failures have no line before it."""
    return [(line["event"], line.get("suppressed", 0)) for line in lines]


def test_failures_in_a_row_have_one_pair_of_lines_in_a_minute() -> None:
    """The first failure and its end are in the log; the next line, a minute later, has the number of those in between."""
    component = Component()
    with capture_logs() as lines:
        for _ in range(50):
            component.fails()
            component.now += 0.1
            component.works()
        assert said(lines) == [("component_unhealthy", 0), ("component_healthy", 0)]
        component.now += QUIET_S
        component.fails()
        component.works()
    assert said(lines[2:]) == [("component_unhealthy", 49), ("component_healthy", 0)]
    assert component.changes == [True, *[False, True] * 51]


def test_a_failure_that_lasts_is_logged_after_the_minute() -> None:
    """One that began soon after another one has its line at the first report after the minute, and its end says how long it was."""
    component = Component()
    with capture_logs() as lines:
        component.fails()
        component.works()
        component.fails("unavailable")
        component.now += QUIET_S - 1
        component.fails("unavailable")
        assert len(lines) == 2
        assert not component.health.is_good("sink:a")
        component.now += 1
        component.fails("denied")
        component.fails("denied")
        component.now += 5
        component.works()
    assert [(line["event"], line.get("reason"), line.get("after_s")) for line in lines[2:]] == [
        ("component_unhealthy", "denied", None),
        ("component_healthy", None, QUIET_S + 5),
    ]


def test_what_is_reported_one_time_is_logged_at_once() -> None:
    """A circuit that opens, for example: no later report would bring its line."""
    component = Component()
    with capture_logs() as lines:
        for _ in range(2):
            component.fails(repeated=False)
            component.works()
    assert said(lines) == [("component_unhealthy", 0), ("component_healthy", 0)] * 2


def test_a_clock_that_goes_back_delays_no_line() -> None:
    """The time of the last line may be in the future then."""
    component = Component()
    with capture_logs() as lines:
        component.fails()
        component.works()
        component.now -= 3600
        component.fails()
    assert len(lines) == 3


@pytest.mark.looptime(noop_cycles=0)
async def test_a_sink_that_throttles_each_event_does_not_fill_the_log(world: MakeWorld) -> None:
    """Every first attempt is throttled, as by a small function: all events arrive, and each minute has at most one pair of lines."""
    w = world()
    tried: set[str] = set()

    def answer(event: Event) -> Delivered:
        if event.id not in tried:
            tried.add(event.id)
            raise Throttled("TooManyRequestsException")
        return Delivered()

    w.inbox.max_batch, w.inbox.answer = 1, answer
    w.submit(*(f"task-{n}" for n in range(60)))
    with capture_logs() as lines:
        async with w.watcher() as watcher:
            await watcher.run()
            minutes = 1 + int((w.wall() - watcher.health.ready()[1]["store"].since) // QUIET_S)
    assert len({event.id for event in w.inbox.events}) == len(tried) > 100
    changes = [line for line in lines if line.get("component") == "sink:inbox"]
    assert 0 < len(changes) <= 2 * minutes < len(tried)
    assert watcher.health.ready()[0]
