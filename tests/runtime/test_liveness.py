"""What /healthz depends on: whether the event loop runs, and nothing else."""

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
def test_a_blocked_loop_counts_as_alive_for_a_minute(app: App, blocked: float, alive: bool) -> None:
    """A loop that was blocked for seconds is no reason to restart the process, a minute is; the reply says for how long."""
    now = 0.0
    app.heartbeat = Heartbeat(lambda: now)
    now += blocked
    ok, details = app.alive()
    assert (ok, details["loop_turned_s_ago"]) == (alive, blocked)


def test_an_unhealthy_component_does_not_affect_liveness(app: App) -> None:
    """A restart would not help when a store, a sink, or the service is down: the watcher is not ready, but alive."""
    app.watcher.health.bad("store", "disk full", "free some")
    assert not app.ready()[0]
    assert app.alive()[0]
