"""SIGKILL, and other signals, at random moments: SQLite loses nothing and keeps ids; without a disk, SQS holds what is not done.

The moments are drawn by progress (started, a call made) and a small random delay. No assertion depends on how far a process came.
"""

from __future__ import annotations

import os
import signal
from collections import Counter
from pathlib import Path
from random import Random

import anyio
import pytest

from tests.e2e.log_events import DEAD_LETTER, INPUT_REJECTED, STARTED
from tests.e2e.queues import Queue
from tests.e2e.scene import (
    ENDLESS,
    RUN,
    check_events,
    configure,
    dead_letters,
    end_tasks,
    ends,
    events,
    message,
    plain_lines,
    service,
    tasks,
    together,
    until,
)
from tests.moto_server import environment
from tests.process import POLL_S, WatcherProcess
from watcher.simulator import Scenario, Simulator, simulator
from watcher.simulator.distributions import parse_durations

pytestmark = pytest.mark.process

KILLS = 10
BLOWS = 26
"""Two scenes of so many, beside the ten kills: at least fifty SIGKILLs in all, and some other signals."""


async def kill_and_restart(directory: Path, kills: int) -> None:
    """Kill a run over SQLite this many times. Some task ends between any two kills, and some task is open at the last one."""
    refs, rng, file = tasks(kills + 2), Random(9), directory / "events.jsonl"
    configure(directory)
    (directory / "tasks.txt").write_text(plain_lines(refs) + "not json\n")
    async with simulator(Scenario(seed=3, partial=0, durations=ENDLESS)) as sim:
        watcher = service(directory, sim)
        for n in range(kills):
            with watcher.running(*RUN):
                await random_moment(watcher, sim, rng)
                if n == kills // 2:
                    await until(lambda: events(file), watcher)
                end_tasks(sim, [ref for ref in refs[:n] if sim.tasks.get(ref) is not None])
        assert len(ends(file)) < len(refs), "killed with open watches"
        with watcher.running(*RUN):
            await until(lambda: len(sim.tasks) == len(refs), watcher)
            end_tasks(sim, refs)
            assert await watcher.wait() == 0, watcher.text()[-6000:]
        check_events(events(file), refs, sim)
        assert sim.stats.peak_per_task == 1
        assert len({line[DEAD_LETTER] for line in watcher.lines(INPUT_REJECTED)}) == 1, "the same invalid line is the same dead letter"
        assert len(await dead_letters(watcher)) == 1


async def ten_kills(directory: Path) -> None:
    """Ten SIGKILLs between the first start and the end."""
    await kill_and_restart(directory, KILLS)


async def some_blows(directory: Path) -> None:
    """One store file and one process after another: mostly killed, some paused before it, some asked to stop and perhaps killed while
    they do. New tasks come all the while."""
    refs, rng = tasks(BLOWS), Random(directory.name)
    configure(directory, limits={"stop_deadline": 5})
    lines, file = directory / "tasks.txt", directory / "events.jsonl"
    done: Counter[str] = Counter()
    async with simulator(Scenario(seed=5, partial=0, durations=parse_durations("queue=exponential(1),run=1+exponential(5)"))) as sim:
        watcher = service(directory, sim)
        for n in range(BLOWS):
            lines.write_text(plain_lines(refs[: n + 1]))
            with watcher.running(*RUN):
                await random_moment(watcher, sim, rng)
                done[await blow(watcher, rng)] += 1
        assert done["killed"] >= 20, done
        assert done["stopped"] >= 1, done
        assert await watcher.run(*RUN) == 0, watcher.text()[-6000:]
        check_events(events(file), refs, sim)
        assert sim.stats.peak_per_task == 1


async def more_blows(directory: Path) -> None:
    """The same at other moments."""
    await some_blows(directory)


async def random_moment(watcher: WatcherProcess, sim: Simulator, rng: Random) -> None:
    """Wait for a random moment: often after the start or after one more call, sometimes while the process still starts."""
    starts, calls, stage = len(watcher.lines(STARTED)), sim.stats.requests, rng.random()
    if stage < 0.8:
        await watcher.until_logged(STARTED, starts + 1)
    if stage < 0.4:
        await until(lambda: sim.stats.requests > calls, watcher)
    await anyio.sleep(rng.uniform(0.0, 0.5))
    assert not watcher.ended, watcher.text()[-6000:]


async def blow(watcher: WatcherProcess, rng: Random) -> str:
    """End the process, or leave that to the end of its block. Returns `stopped` or `killed`."""
    match rng.choice(("kill", "kill", "kill", "pause", "term")):
        case "pause":
            watcher.send(signal.SIGSTOP)
            await anyio.sleep(rng.uniform(0.05, 0.6))
            if rng.random() < 0.7:
                watcher.send(signal.SIGCONT)
                await anyio.sleep(rng.uniform(0.0, 0.4))
        case "term":
            watcher.send(signal.SIGTERM)
            await anyio.sleep(rng.uniform(0.0, 0.3))
            if rng.random() < 0.5:
                await watcher.wait()
    return "stopped" if watcher.ended else "killed"


async def without_a_disk(directory: Path) -> None:
    """With the memory store a message leaves the queue only after its task's last event was delivered: the next process takes the rest."""
    refs, file, moto_url = tasks(8), directory / "events.jsonl", os.environ["AWS_ENDPOINT_URL"]
    queue = Queue(moto_url)
    await queue.create()
    await queue.send(map(message, refs))
    configure(directory, sources=[{"type": "sqs", "queue_url": queue.url, "wait": 1, "visibility": 5}], store={"type": "memory"})

    async def held() -> int:
        """Messages still in the queue; each that left it belongs to a task whose end is delivered."""
        left = await queue.left()
        assert len(refs) - left <= len(ends(file)), "deleted too early"
        return left

    async with simulator(Scenario(seed=4, partial=0, durations=ENDLESS)) as sim:
        watcher = WatcherProcess(directory, {**environment(moto_url), **sim.environment})
        for last in (1, 3):
            with watcher.running(*RUN):
                await until(lambda: len(sim.tasks) == len(refs), watcher)
                end_tasks(sim, refs[:last])
                await until(lambda last=last: len(ends(file)) >= last, watcher)
            assert await held() >= len(refs) - last
        end_tasks(sim, refs)
        with watcher.running(*RUN):
            while await held():
                assert not watcher.ended, watcher.text()[-6000:]
                await anyio.sleep(POLL_S)
    assert ends(file) == {ref.key for ref in refs}


async def test_a_few_kills_lose_nothing(tmp_path: Path) -> None:
    """Killed three times, a run over SQLite delivers every event, in order and under the same ids."""
    await kill_and_restart(tmp_path, 3)


@pytest.mark.slow
async def test_kills_lose_nothing_whatever_the_store(moto_url: str, tmp_path: Path) -> None:
    """Killed more than sixty times at random moments, also while it stops or is paused: SQLite loses nothing, nor does the queue."""
    await together(tmp_path, ten_kills, some_blows, more_blows, without_a_disk)
