"""kill -9 at random moments: with SQLite nothing is lost or told under another id; with memory SQS holds what is not done."""

from __future__ import annotations

import json
import os
from pathlib import Path
from random import Random
from typing import Any

import anyio
import pytest

from tests.e2e.process import WatcherProcess
from tests.e2e.scene import check_story, configure, ends, events, plain_lines, service, tasks, together, until
from tests.moto_server import environment, plain_client
from watcher.simulator import Scenario, simulator
from watcher.simulator.laws import parse_durations

pytestmark = pytest.mark.process

KILLS = 10


async def ten_kills_at_random_moments_cost_nothing(directory: Path) -> None:
    """A file, SQLite and a file of events, killed ten times between start and end: I1 to I4 hold for the whole of it."""
    refs, dice = tasks(12), Random(9)
    configure(directory, cadence={"type": "fixed", "every": 0.5})
    (directory / "tasks.txt").write_text(plain_lines(refs) + "not json\n")
    file = directory / "events.jsonl"
    async with simulator(Scenario(seed=3, partial=0, durations=parse_durations("queue=exponential(1),run=3+exponential(4)"))) as sim:
        watcher = service(directory, sim)
        for _ in range(KILLS):
            await watcher.start("run", "--config", "watcher.yaml")
            await anyio.sleep(dice.uniform(0.3, 1.6))
            assert not watcher.ended, watcher.words()
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


async def test_kill_9_costs_nothing_whatever_the_store(moto_url: str, tmp_path: Path) -> None:
    """With a disk the store goes on where it was; without, the queue does."""
    await together(tmp_path, ten_kills_at_random_moments_cost_nothing, without_a_disk_the_queue_holds_what_is_not_done)


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
