"""What /healthz goes by: whether the loop turns, and nothing else (F23)."""

from __future__ import annotations

import pytest

from watcher.adapters.sinks.jsonl import JsonlSinkSettings
from watcher.adapters.sources.lines import LinesSourceSettings
from watcher.adapters.stores.memory import MemoryStoreSettings
from watcher.app import App, build
from watcher.config import Settings
from watcher.observe.loop_lag import Heartbeat


@pytest.fixture
def app(monkeypatch: pytest.MonkeyPatch) -> App:
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    return build(
        Settings(sources=[LinesSourceSettings(type="lines")], sinks=[JsonlSinkSettings(type="jsonl")], store=MemoryStoreSettings())
    )


@pytest.mark.parametrize(("blocked", "alive"), [(0.0, True), (5.0, True), (59.0, True), (61.0, False)])
def test_a_loop_that_is_blocked_is_alive_for_a_minute(app: App, blocked: float, alive: bool) -> None:
    """Five seconds are no reason to be killed, a minute is; the answer says when the loop last turned."""
    now = 0.0
    app.heartbeat = Heartbeat(lambda: now)
    now += blocked
    ok, told = app.alive()
    assert (ok, told["loop_turned_s_ago"]) == (alive, blocked)


def test_what_is_not_ready_is_alive_all_the_same(app: App) -> None:
    """Nobody restarts a process because a store, a sink or the service is down."""
    app.watcher.health.bad("store", "disk full", "free some")
    assert not app.ready()[0]
    assert app.alive()[0]
