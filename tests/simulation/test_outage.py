"""Half a day without the service: longer than any other scene, so what has no part in it is done more seldom."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.simulation.oracle import judge
from tests.simulation.play import play
from tests.simulation.story import Trouble
from tests.simulation.sweep import STORY
from watcher.runtime import backlog, operator_requests, service

OUTAGE = Trouble("service", 2.0, 12 * 3600.0, 0.5)


def test_half_a_day_of_503_costs_a_call_a_minute_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every promise holds over twelve hours of 503, with a call a minute; when it is over, all is told within the minute."""
    # what is looked after now and then would be most of the work in half a day without calls
    monkeypatch.setattr(backlog, "REPORT_S", 30.0)
    monkeypatch.setattr(operator_requests, "CHECK_S", 30.0)
    monkeypatch.setattr(service, "BUSY_CHECK_S", 10.0)
    record = play(replace(STORY, troubles=(OUTAGE,)))
    over = OUTAGE.at + OUTAGE.lasts
    during = [at for at in record.probe.calls[-1]["speaker-search"] if OUTAGE.at + 600 < at < over]
    told = [handed.at for handed in record.inboxes[0].handed if handed.at > over and "fresh" not in handed.event.key]
    assert judge(record) == []
    assert 700 <= len(during) <= 720
    assert told
    assert max(told) <= over + 65
