"""kill -9, and other signals, at random moments: with SQLite nothing is lost or told under another id; with memory SQS holds what is
not done."""

from __future__ import annotations

import json
import os
import signal
from collections import Counter
from pathlib import Path
from random import Random
from typing import Any

import anyio
import pytest

from tests.e2e.process import WatcherProcess
from tests.e2e.scene import check_story, configure, ends, events, plain_lines, service, tasks, together, until
from tests.moto_server import environment, plain_client
from watcher.simulator import Scenario, simulator
from watcher.simulator.distributions import parse_durations

pytestmark = pytest.mark.process

KILLS = 10
BLOWS = 26
"""Twice so many beside those ten: in all at least fifty SIGKILLs, and some of the others."""


async def ten_kills_at_random_moments_cost_nothing(directory: Path) -> None:
    """A file, SQLite and a file of events, killed ten times between start and end: I1 to I4 hold for the whole of it."""
    refs, dice = tasks(12), Random(9)
    configure(directory, cadence={"type": "fixed", "every": 0.5})
    (directory / "tasks.txt").write_text(plain_lines(refs) + "not json\n")
    file = directory / "events.jsonl"
    async with simulator(Scenario(seed=3, partial=0, durations=parse_durations("queue=exponential(1),run=3+exponential(4)"))) as sim:
        watcher = service(directory, sim)
        for _ in range(KILLS):
            await life(watcher, dice)
            await watcher.kill()
        assert len(events(file)) > 0, "killed in the middle"
        assert len(ends(file)) < len(refs), "killed in the middle"
        assert await watcher.run("run", "--config", "watcher.yaml", seconds=90) == 0, watcher.words()[-6000:]
        check_story(events(file), refs, sim)
        assert sim.stats.peak_per_task == 1
        assert len({line["letter"] for line in watcher.lines("input_rejected")}) == 1, "the same bad line is the same dead letter"
        letters = service(directory, sim, "letters")
        assert await letters.run("dead-letters", "list", "--config", "watcher.yaml", "--json") == 0
        assert len(json.loads(letters.out.read_text())) == 1


async def some_blows(directory: Path) -> None:
    """One store file and one watcher after another: mostly killed, killed after a SIGSTOP (and SIGCONT), or told to stop and perhaps
    killed while it does. New tasks come all the while. I1 to I4 hold for the whole of it."""
    refs, dice = tasks(BLOWS), Random(directory.name)
    configure(directory, cadence={"type": "fixed", "every": 0.5}, limits={"stop_deadline": 5})
    lines, file = directory / "tasks.txt", directory / "events.jsonl"
    done: Counter[str] = Counter()
    async with simulator(Scenario(seed=5, partial=0, durations=parse_durations("queue=exponential(1),run=1+exponential(5)"))) as sim:
        watcher = service(directory, sim)
        for n in range(BLOWS):
            lines.write_text(plain_lines(refs[: n + 1]))
            await life(watcher, dice)
            done[await blow(watcher, dice)] += 1
        assert done["killed"] >= 20, done
        assert done["stopped"] >= 1, done
        assert await watcher.run("run", "--config", "watcher.yaml", seconds=90) == 0, watcher.words()[-6000:]
        check_story(events(file), refs, sim)
        assert sim.stats.peak_per_task == 1


async def more_blows(directory: Path) -> None:
    """At other moments."""
    await some_blows(directory)


async def life(watcher: WatcherProcess, dice: Random) -> None:
    """Start it, and wait for a random moment: mostly while it works, sometimes while it still starts."""
    lives = len(watcher.lines("watching")) if watcher.log.exists() else 0
    await watcher.start("run", "--config", "watcher.yaml")
    if dice.random() < 0.75:
        await watcher.until_logged("watching", lives + 1)
    await anyio.sleep(dice.uniform(0.05, 0.8))
    assert not watcher.ended, watcher.words()[-6000:]


async def blow(watcher: WatcherProcess, dice: Random) -> str:
    """One way to end a process, or to try. Says how it went."""
    match dice.choice(("kill", "kill", "kill", "pause", "term")):
        case "pause":
            watcher.send(signal.SIGSTOP)
            await anyio.sleep(dice.uniform(0.05, 0.6))
            if dice.random() < 0.7:
                watcher.send(signal.SIGCONT)
                await anyio.sleep(dice.uniform(0.0, 0.4))
        case "term":
            watcher.send(signal.SIGTERM)
            await anyio.sleep(dice.uniform(0.0, 0.3))
            if dice.random() < 0.5 and not watcher.ended:
                await watcher.wait(10)
    by_itself = watcher.ended
    await watcher.kill()
    return "stopped" if by_itself else "killed"


async def without_a_disk_the_queue_holds_what_is_not_done(directory: Path) -> None:
    """A container with the memory store is killed and replaced: a message leaves the queue only after its task's last event
    was delivered, so the next container takes up the rest and tells everything."""
    refs, file, moto_url = tasks(8), directory / "events.jsonl", os.environ["AWS_ENDPOINT_URL"]
    sqs, queue = await anyio.to_thread.run_sync(_queue, moto_url, [ref.params for ref in refs])
    source = {"type": "sqs", "queue_url": queue, "wait": 1, "visibility": 3}
    configure(directory, sources=[source], store={"type": "memory"}, cadence={"type": "fixed", "every": 0.5})

    async def held() -> int:
        """Messages still in the queue; none of those that left it belonged to a task whose end is not told."""
        left = await anyio.to_thread.run_sync(_left, sqs, queue)
        assert len(refs) - left <= len(ends(file)), "deleted too early"
        return left

    async with simulator(Scenario(seed=4, partial=0, durations=parse_durations("queue=fixed(0.2),run=1+exponential(2)"))) as sim:
        watcher = WatcherProcess(directory, {**environment(moto_url), **sim.environment})
        for least in (1, 3):
            await watcher.start("run", "--config", "watcher.yaml")
            await until(lambda least=least: len(ends(file)) >= least, watcher)
            await watcher.kill()
            assert 0 < await held() < len(refs) + 1
        await watcher.start("run", "--config", "watcher.yaml")
        try:
            with anyio.fail_after(60):
                while await held():  # noqa: ASYNC110 - a queue rings no bell
                    await anyio.sleep(0.2)
        finally:
            await watcher.kill()
    assert ends(file) == {ref.key for ref in refs}


SCENES = (ten_kills_at_random_moments_cost_nothing, some_blows, more_blows, without_a_disk_the_queue_holds_what_is_not_done)


async def test_kill_9_costs_nothing_whatever_the_store(moto_url: str, tmp_path: Path) -> None:
    """With a disk the store goes on where it was; without, the queue does."""
    await together(tmp_path, *SCENES)


def _queue(url: str, params: list[tuple[str, ...]]) -> tuple[Any, str]:
    sqs = plain_client("sqs", url)
    queue = sqs.create_queue(QueueName="tasks")["QueueUrl"]
    for connector, task in params:
        sqs.send_message(QueueUrl=queue, MessageBody=json.dumps({"VoiceConnectorId": connector, "SpeakerSearchTaskId": task}))
    return sqs, queue


def _left(sqs: Any, queue: str) -> int:
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    attributes = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=names)["Attributes"]
    return sum(int(attributes[name]) for name in names)
