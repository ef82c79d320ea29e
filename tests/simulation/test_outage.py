"""Half a day without the service: longer than any other trouble, so the loops that have no part in it are slowed down."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.simulation.oracle import judge
from tests.simulation.play import FRESH, play
from tests.simulation.story import Trouble
from tests.simulation.sweep import SHORT_STORY
from watcher.runtime import backlog, operator_requests, service

OUTAGE = Trouble("service", 2.0, 12 * 3600.0, 0.5)


@pytest.mark.long
def test_half_a_day_of_503_costs_one_call_a_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every promise holds over twelve hours of 503 with one call a minute, and everything is reported within a minute of its end."""
    # periodic checks would be most of the work in half a day without calls
    monkeypatch.setattr(backlog, "REPORT_S", 30.0)
    monkeypatch.setattr(operator_requests, "CHECK_S", 30.0)
    monkeypatch.setattr(service, "BUSY_CHECK_S", 10.0)
    record = play(replace(SHORT_STORY, troubles=(OUTAGE,)))
    over = OUTAGE.at + OUTAGE.lasts_s
    during = [at for at in record.probe.calls[-1]["speaker-search"] if OUTAGE.at + 600 < at < over]
    reported = [sent.at for sent in record.inboxes[0].sent if sent.at > over and sent.event.key != FRESH.key]
    assert judge(record) == []
    assert 700 <= len(during) <= 720
    assert reported
    assert max(reported) <= over + 65
