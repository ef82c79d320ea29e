"""Sinks that refuse everything, and an environment with which no sink can work, as a user of the process sees them."""

from __future__ import annotations

import signal
import socket
from pathlib import Path

import pytest

from tests.e2e.scene import (
    QUIET,
    RUN,
    configure,
    dead_letters,
    ends,
    events,
    free_port,
    plain_lines,
    service,
    tasks,
    until,
    until_ready,
    webhook_receiver,
)
from watcher.simulator import simulator

pytestmark = pytest.mark.process

SECRET = "T0CANARY/B0CANARY/xCANARYx"
"""What a chat service puts into the path of a URL."""


@pytest.mark.slow
async def test_a_webhook_that_refuses_everything_gets_every_event_later(tmp_path: Path) -> None:
    """A deleted webhook (404) makes the watcher not ready and no event a dead letter, over a restart too; no output has its path."""
    refs, listen = tasks(6), f"127.0.0.1:{free_port()}"
    (tmp_path / "tasks.txt").write_text(plain_lines(refs))
    with socket.socket() as own:
        own.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{own.getsockname()[1]}/services/{SECRET}"
        sinks = [{"type": "jsonl", "path": "events.jsonl"}, {"name": "chat", "type": "webhook", "url": url}]
        configure(tmp_path, sinks=sinks, api={"listen": listen}, logs={"level": "debug"}, limits={"stop_deadline": 2})
        async with simulator(QUIET) as sim:
            watcher = service(tmp_path, sim)
            async with webhook_receiver(404, own.dup()) as (_, refused):
                for _ in range(2):
                    with watcher.running(*RUN):
                        components = await until_ready(f"http://{listen}", False, watcher)
                        assert components["sink:chat"]["reason"] == "refused: http_404"
                        assert "CANARY" not in str(components)
                        await until(lambda: len(ends(tmp_path / "events.jsonl")) == len(refs), watcher)
                        watcher.send(signal.SIGTERM)
                        assert await watcher.wait() == 143, watcher.text()[-4000:]
                assert len(set(refused)) >= 3
            async with webhook_receiver(204, own.dup()) as (_, received):
                with watcher.running(*RUN):
                    expected = {event["id"] for event in events(tmp_path / "events.jsonl")}
                    await until(lambda: expected <= set(received), watcher)
            assert await dead_letters(watcher) == []
            shown = service(tmp_path, sim, "shown")
            assert await shown.run("config", "show", "--config", "watcher.yaml") == 0, shown.text()
            assert "/********" in shown.out.read_text()
    assert "CANARY" not in watcher.text() + shown.out.read_text()


@pytest.mark.parametrize(
    ("variable", "value"), [("SSL_CERT_FILE", "nowhere.pem"), ("AWS_CA_BUNDLE", "watcher.yaml"), ("ALL_PROXY", "socks5://127.0.0.1:1")]
)
async def test_a_variable_that_cannot_be_used_ends_the_run_with_78_and_its_name(tmp_path: Path, variable: str, value: str) -> None:
    """The run ends before anything is taken in, with one line for the variable and no traceback."""
    configure(tmp_path, sinks=[{"type": "webhook", "url": "https://hooks.example.com/x"}])
    (tmp_path / "tasks.txt").write_text(plain_lines(tasks(1)))
    async with simulator(QUIET) as sim:
        watcher = service(tmp_path, sim, **{variable: value})
        assert await watcher.run(*RUN) == 78
        lines = [line for line in watcher.text().splitlines() if variable in line]
        assert len(lines) == 1, watcher.text()
        assert "Traceback" not in watcher.text()
        assert sim.stats.requests == 0
