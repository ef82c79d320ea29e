"""SIGTERM, SIGINT and SIGHUP at the moments at which they come: idle, in calls, in backoff, with a sink down, throttled, at start."""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest

from tests.e2e.process import WatcherProcess
from tests.e2e.scene import check_story, configure, ends, events, free_port, plain_lines, service, tasks, together, until
from watcher.simulator import Scenario, Simulator, simulator
from watcher.simulator.distributions import parse_distribution, parse_durations

pytestmark = pytest.mark.process

STOP_S = 6.0
LONG = parse_durations("queue=fixed(0.5),run=fixed(600)")


@asynccontextmanager
async def running(directory: Path, sim: Simulator, count: int = 10, **sections: Any) -> AsyncIterator[WatcherProcess]:
    """A watcher on a named pipe that stays open, which was given `count` tasks."""
    os.mkfifo(directory / "pipe")
    pipe = os.open(directory / "pipe", os.O_RDWR)
    source = [{"type": "lines", "path": "pipe"}]
    configure(directory, **{"sources": source, "limits": {"stop_deadline": STOP_S}, **sections})
    watcher = service(directory, sim)
    try:
        await watcher.start("run", "--config", "watcher.yaml")
        os.write(pipe, plain_lines(tasks(count)).encode())
        await watcher.until_logged("watching")
        yield watcher
    finally:
        os.close(pipe)
        await watcher.kill()


async def stopped(watcher: WatcherProcess, number: signal.Signals = signal.SIGTERM, within: float = STOP_S) -> int:
    """The exit code after one signal, which comes within the stop deadline."""
    watcher.send(number)
    return await watcher.wait(within)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
async def test_an_idle_watcher_ends_at_once_with_the_code_of_the_signal(tmp_path: Path, number: signal.Signals, code: int) -> None:
    """Nothing to do, and nothing to wait for."""
    async with simulator() as sim, running(tmp_path, sim, count=0) as watcher:
        assert await stopped(watcher, number) == code
        assert watcher.lines("signal")[0]["signal"] == number.name


async def calls_in_flight_finish_and_count(directory: Path) -> None:
    """SIGTERM in the middle of slow calls: their answers are told of before the process ends, and no call is begun."""
    async with simulator(Scenario(latency=parse_distribution("fixed(1.5)"), durations=LONG)) as sim, running(directory, sim) as watcher:
        await until(lambda: sim.stats.in_flight >= 1, watcher)
        before = sim.stats.actions["Get"]
        assert await stopped(watcher) == 143
        assert sim.stats.actions["Get"] == before, "nothing more is taken up"
        assert sim.stats.in_flight == 0
        assert len(events(directory / "events.jsonl")) == sim.stats.outcomes["ok"], "every answer was told of"


async def a_call_that_hangs_does_not_hold_up_the_end(directory: Path) -> None:
    """A service that never answers is left behind within the stop deadline."""
    async with simulator(Scenario(faults={"hang": 1.0})) as sim, running(directory, sim) as watcher:
        await until(lambda: sim.stats.requests >= 1, watcher)
        assert await stopped(watcher) == 143


async def an_outage_is_not_waited_out(directory: Path) -> None:
    """SIGTERM while every task backs off ends it at once."""
    async with simulator(Scenario(faults={"503": 1.0})) as sim, running(directory, sim) as watcher:
        await until(lambda: sim.stats.requests >= 3, watcher)
        assert await stopped(watcher) == 143


async def throttling_is_not_waited_out(directory: Path) -> None:
    """SIGTERM while the pace lets nothing go ends it at once."""
    async with simulator(Scenario(quota=0, burst=0)) as sim, running(directory, sim) as watcher:
        await until(lambda: sim.stats.requests >= 3, watcher)
        assert await stopped(watcher) == 143


async def what_a_sink_did_not_take_is_delivered_after_the_next_start(directory: Path) -> None:
    """The flush ends with the deadline, the rest is logged and stands in the outbox; the next life delivers it under the same ids."""
    file, port = directory / "events.jsonl", free_port()
    sinks = [{"type": "jsonl", "path": "events.jsonl"}, {"type": "webhook", "url": f"http://127.0.0.1:{port}/hook"}]
    async with simulator(Scenario(durations=LONG)) as sim, running(directory, sim, count=5, sinks=sinks) as watcher:
        await until(lambda: len(events(file)) >= 5, watcher)
        assert await stopped(watcher) == 143
        left = watcher.lines("outbox_left")
        assert left, watcher.words()
        assert left[0]["events"] >= 5
        told = {event["id"] for event in events(file)}
        async with hook(port) as posted:
            await watcher.start("run", "--config", "watcher.yaml")
            await until(lambda: told <= set(posted), watcher)


@asynccontextmanager
async def hook(port: int) -> AsyncIterator[list[str]]:
    """A receiver that takes every event. Yields the ids that came, as they come."""
    import asyncio

    posted: list[str] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        fields = dict(line.split(": ", 1) for line in head.splitlines()[1:] if ": " in line)
        await reader.readexactly(int(fields["content-length"]))
        writer.write(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")
        await writer.drain()
        writer.close()
        await writer.wait_closed()
        posted.append(fields["webhook-id"])

    async with await asyncio.start_server(answer, "127.0.0.1", port):
        yield posted


async def a_second_signal_ends_it_at_once(directory: Path) -> None:
    """With the default deadline of 25 s and calls that hang, the second signal does not wait for them."""
    limits = {"stop_deadline": 25}
    async with simulator(Scenario(faults={"hang": 1.0})) as sim, running(directory, sim, limits=limits) as watcher:
        await until(lambda: sim.stats.requests >= 1, watcher)
        watcher.send(signal.SIGTERM)
        await watcher.until_logged("stopping")
        assert await stopped(watcher, signal.SIGTERM, within=3) == 143
        assert watcher.lines("second_signal")


async def test_a_signal_during_the_start_ends_it_too(tmp_path: Path) -> None:
    """At any moment of the first second, also before anything can handle it, the process ends by that signal and says no traceback."""

    async def one(delay: float) -> None:
        directory = tmp_path / f"after-{delay}"
        directory.mkdir()
        configure(directory)
        (directory / "tasks.txt").write_text(plain_lines(tasks(3)))
        watcher = service(directory, sim)
        await watcher.start("run", "--config", "watcher.yaml")
        await anyio.sleep(delay)
        code = await stopped(watcher)
        await watcher.kill()
        assert code in (143, -signal.SIGTERM), watcher.words()
        assert "Traceback" not in watcher.words()

    async with simulator(Scenario(durations=LONG)) as sim, anyio.create_task_group() as all_of_them:
        for delay in (0.05, 0.3, 0.6, 0.9, 1.2):
            all_of_them.start_soon(one, delay)


async def a_bad_file_at_sighup_leaves_the_running_configuration(directory: Path) -> None:
    """SIGHUP says every mistake of the new file, or that it is good; the process goes on with what it has."""
    file = directory / "watcher.yaml"
    async with simulator(Scenario(durations=LONG)) as sim, running(directory, sim) as watcher:
        good = file.read_text()
        file.write_text('{"sources": [], "sinks": [{"type": "jsonl", "pth": "-"}]}')
        watcher.send(signal.SIGHUP)
        line = await watcher.until_logged("configuration_not_taken")
        assert len(line["mistakes"]) >= 2, line
        assert all(mistake.startswith("watcher.yaml:1: ") for mistake in line["mistakes"])
        file.write_text(good)
        watcher.send(signal.SIGHUP)
        await watcher.until_logged("configuration_good")
        await until(lambda: len(events(directory / "events.jsonl")) >= 10, watcher)
        assert await stopped(watcher) == 143


async def a_restart_goes_on_where_it_was(directory: Path) -> None:
    """Stopped in the middle and started again: the same story under the same ids, and nothing that had ended is asked again."""
    refs = tasks(10)
    configure(directory, cadence={"type": "fixed", "every": 0.5})
    (directory / "tasks.txt").write_text(plain_lines(refs))
    file = directory / "events.jsonl"
    async with simulator(Scenario(seed=5, partial=0, durations=parse_durations("queue=fixed(0.2),run=1+exponential(2)"))) as sim:
        watcher = service(directory, sim)
        await watcher.start("run", "--config", "watcher.yaml")
        await until(lambda: len(ends(file)) >= 3, watcher)
        assert await stopped(watcher, within=25) == 143
        assert len(ends(file)) < len(refs), "stopped in the middle"
        assert await watcher.run("run", "--config", "watcher.yaml", seconds=60) == 0, watcher.words()
        check_story(events(file), refs, sim)
        assert len(events(file)) == len({event["id"] for event in events(file)}), "a clean stop repeats nothing"
        assert sim.stats.after_end == 0


async def test_at_whatever_moment_a_signal_comes_it_ends_in_time_and_goes_on_where_it_was(tmp_path: Path) -> None:
    """In calls, with a service that hangs, is down or throttles, with a sink down; twice; SIGHUP; and what the next life does."""
    await together(
        tmp_path,
        calls_in_flight_finish_and_count,
        a_call_that_hangs_does_not_hold_up_the_end,
        an_outage_is_not_waited_out,
        throttling_is_not_waited_out,
        what_a_sink_did_not_take_is_delivered_after_the_next_start,
        a_second_signal_ends_it_at_once,
        a_bad_file_at_sighup_leaves_the_running_configuration,
        a_restart_goes_on_where_it_was,
    )
