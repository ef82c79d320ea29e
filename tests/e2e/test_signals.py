"""SIGTERM, SIGINT and SIGHUP while the watcher is idle, in calls, in backoff, throttled, without its sink, and starting."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest

from tests.e2e.log_events import CONFIG_INVALID, CONFIG_VALID, SECOND_SIGNAL, SIGNAL, STARTED, STOPPING, UNDELIVERED
from tests.e2e.scene import (
    ENDLESS,
    RUN,
    check_events,
    configure,
    end_tasks,
    ends,
    events,
    plain_lines,
    service,
    tasks,
    together,
    until,
    webhook_receiver,
)
from tests.process import WatcherProcess
from tests.relay import Relay
from watcher.simulator import Scenario, Simulator, simulator

pytestmark = pytest.mark.process

NO_LIMIT = {"stop_deadline": 600, "call_deadline": 300}
"""Deadlines that no test reaches: a process that ends under them did not wait for them."""
WAITED_S = 240.0
"""Less than the deadlines of `NO_LIMIT`, and more than ten times what an end takes."""
ONCE = {"type": "fixed", "every": 3600, "max_gap": 3600}
"""A cadence that polls each task once."""


@asynccontextmanager
async def running(
    directory: Path, sim: Simulator, count: int = 10, relay: Relay | None = None, **sections: Any
) -> AsyncIterator[WatcherProcess]:
    """A watcher that was given `count` tasks on a named pipe which stays open. Its calls go through `relay`, if there is one."""
    os.mkfifo(directory / "pipe")
    pipe = os.open(directory / "pipe", os.O_RDWR)
    configure(directory, **{"sources": [{"type": "lines", "path": "pipe"}], "limits": NO_LIMIT, **sections})
    watcher = service(directory, sim, **({"AWS_ENDPOINT_URL_CHIME_SDK_VOICE": relay.url} if relay else {}))
    try:
        with watcher.running(*RUN):
            os.write(pipe, plain_lines(tasks(count)).encode())
            await watcher.until_logged(STARTED)
            yield watcher
    finally:
        os.close(pipe)


async def stopped(watcher: WatcherProcess, number: signal.Signals = signal.SIGTERM) -> int:
    """The exit code after one more signal."""
    watcher.send(number)
    return await watcher.wait(WAITED_S)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
async def test_an_idle_watcher_ends_with_the_code_of_the_signal(tmp_path: Path, number: signal.Signals, code: int) -> None:
    """With nothing to do it ends without waiting for a deadline, and logs the signal."""
    async with simulator() as sim, running(tmp_path, sim, count=0) as watcher:
        assert await stopped(watcher, number) == code
        assert watcher.lines(SIGNAL)[0]["signal"] == number.name


async def calls_in_flight_finish(directory: Path) -> None:
    """Replies that come after SIGTERM still become events, and no call begins after it."""
    limits = {**NO_LIMIT, "max_in_flight": 2}
    async with simulator(Scenario(durations=ENDLESS)) as sim, Relay(sim.url) as relay:
        relay.hold()
        async with running(directory, sim, relay=relay, limits=limits, cadence=ONCE) as watcher:
            await until(lambda: sim.stats.requests == 2, watcher)
            watcher.send(signal.SIGTERM)
            await watcher.until_logged(STOPPING)
            relay.release()
            assert await watcher.wait(WAITED_S) == 143
        assert sim.stats.requests == 2, "no call begins"
        assert len(events(directory / "events.jsonl")) == sim.stats.outcomes["ok"] == 2, "each reply became an event"


async def a_call_that_hangs(directory: Path) -> None:
    """A service that never answers does not keep the process beyond the stop deadline."""
    limits = {**NO_LIMIT, "stop_deadline": 3}
    async with simulator(Scenario(faults={"hang": 1.0})) as sim, running(directory, sim, limits=limits) as watcher:
        await until(lambda: sim.stats.actions["Get"] >= 1, watcher)
        assert await stopped(watcher) == 143


async def an_outage(directory: Path) -> None:
    """SIGTERM ends the process while every task backs off."""
    async with simulator(Scenario(faults={"503": 1.0})) as sim, running(directory, sim) as watcher:
        await until(lambda: sim.stats.requests >= 3, watcher)
        assert await stopped(watcher) == 143


async def throttling(directory: Path) -> None:
    """SIGTERM ends the process while the pace gives no permit."""
    async with simulator(Scenario(quota=0, burst=0)) as sim, running(directory, sim) as watcher:
        await until(lambda: sim.stats.requests >= 3, watcher)
        assert await stopped(watcher) == 143


async def a_sink_that_is_down(directory: Path) -> None:
    """The flush ends with the deadline, what is left is logged, and the next start delivers it under the same ids."""
    file = directory / "events.jsonl"
    with socket.socket() as refusing:
        refusing.bind(("127.0.0.1", 0))  # connections are refused until something listens
        url = f"http://127.0.0.1:{refusing.getsockname()[1]}/hook"
        sections = {
            "sinks": [{"type": "jsonl", "path": "events.jsonl"}, {"type": "webhook", "url": url}],
            "limits": {**NO_LIMIT, "stop_deadline": 3},
        }
        async with simulator(Scenario(durations=ENDLESS)) as sim, running(directory, sim, count=5, **sections) as watcher:
            await until(lambda: len(events(file)) >= 5, watcher)
            assert await stopped(watcher) == 143
            left = watcher.lines(UNDELIVERED)
            assert left, watcher.text()
            assert left[0]["events"] >= 5
            expected = {event["id"] for event in events(file)}
            async with webhook_receiver(204, refusing) as (_, received):
                with watcher.running(*RUN):
                    await until(lambda: expected <= set(received), watcher)


async def a_second_signal(directory: Path) -> None:
    """The second signal ends the process, although the first one still waits for calls that hang."""
    async with simulator(Scenario(faults={"hang": 1.0})) as sim, running(directory, sim) as watcher:
        await until(lambda: sim.stats.actions["Get"] >= 1, watcher)
        watcher.send(signal.SIGTERM)
        await watcher.until_logged(STOPPING)
        assert not watcher.ended
        assert await stopped(watcher) == 143
        assert watcher.lines(SECOND_SIGNAL)


async def test_a_signal_during_the_start_ends_it(tmp_path: Path) -> None:
    """Wherever a signal meets the start, also before anything can handle it, the process ends by it and prints no traceback."""

    async def one(delay: float) -> None:
        directory = tmp_path / f"after-{delay}"
        directory.mkdir()
        configure(directory)
        (directory / "tasks.txt").write_text(plain_lines(tasks(3)))
        watcher = service(directory, sim)
        with watcher.running(*RUN):
            await anyio.sleep(delay)  # a moment, not a condition: any will do
            code = await stopped(watcher)
        assert code in (143, -signal.SIGTERM), watcher.text()
        assert "Traceback" not in watcher.text()

    async with simulator(Scenario(durations=ENDLESS)) as sim, anyio.create_task_group() as all_of_them:
        for delay in (0.05, 0.3, 0.6, 0.9, 1.2):
            all_of_them.start_soon(one, delay)


async def sighup(directory: Path) -> None:
    """SIGHUP reports every mistake of the changed file, or that it is valid; the process goes on with what it has."""
    file = directory / "watcher.yaml"
    async with simulator(Scenario(durations=ENDLESS)) as sim, running(directory, sim) as watcher:
        good = file.read_text()
        file.write_text('{"sources": [], "sinks": [{"type": "jsonl", "pth": "-"}]}')
        watcher.send(signal.SIGHUP)
        line = await watcher.until_logged(CONFIG_INVALID)
        assert len(line["mistakes"]) >= 2, line
        assert all(mistake.startswith("watcher.yaml:1: ") for mistake in line["mistakes"])
        file.write_text(good)
        watcher.send(signal.SIGHUP)
        await watcher.until_logged(CONFIG_VALID)
        await until(lambda: len(events(directory / "events.jsonl")) >= 10, watcher)
        assert await stopped(watcher) == 143


async def a_restart(directory: Path) -> None:
    """Stopped with open watches and started again, it goes on under the same ids, and polls no task that had ended."""
    refs, file = tasks(10), directory / "events.jsonl"
    configure(directory, limits=NO_LIMIT)
    (directory / "tasks.txt").write_text(plain_lines(refs))
    async with simulator(Scenario(seed=5, partial=0, durations=ENDLESS)) as sim:
        watcher = service(directory, sim)
        with watcher.running(*RUN):
            await until(lambda: {event["subject"] for event in events(file)} == {ref.key for ref in refs}, watcher)
            end_tasks(sim, refs[:3])
            await until(lambda: len(ends(file)) == 3, watcher)
            assert await stopped(watcher) == 143
        with watcher.running(*RUN):
            await watcher.until_logged(STARTED, 2)
            end_tasks(sim, refs[3:])
            assert await watcher.wait() == 0, watcher.text()
        check_events(events(file), refs, sim)
        assert len(events(file)) == len({event["id"] for event in events(file)}), "a clean stop repeats nothing"
        assert sim.stats.after_end == 0


@pytest.mark.slow
async def test_a_signal_ends_the_process_whatever_it_does(tmp_path: Path) -> None:
    """In calls, with a service that hangs, fails or throttles, with a sink down; twice; SIGHUP; and what the next start does."""
    await together(
        tmp_path,
        calls_in_flight_finish,
        a_call_that_hangs,
        an_outage,
        throttling,
        a_sink_that_is_down,
        a_second_signal,
        sighup,
        a_restart,
    )
