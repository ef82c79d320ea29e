"""The whole flow on virtual time: the real loops between a simulated queue, a simulated service, and simulated sinks."""

from __future__ import annotations

import itertools
import json
from collections.abc import Sequence

import anyio
import pytest

from tests.runtime.conftest import MakeWorld, key
from watcher.core.polling.pace import PaceSettings
from watcher.model import NO_TOKENS, TaskTokens, Watch
from watcher.query import DeadLetterQuery
from watcher.runtime.settings import Limits, ServiceSettings

pytestmark = pytest.mark.looptime(noop_cycles=0)


async def test_each_task_is_reported_in_order_to_its_end(world: MakeWorld) -> None:
    """The events of every submitted task arrive with contiguous sequence numbers, and only the last one is terminal."""
    w = world()
    w.submit(*(f"task-{n}" for n in range(30)))
    async with w.watcher() as watcher:
        await watcher.run()
    assert watcher.finished
    for n in range(30):
        events = w.inbox.of(key(f"task-{n}"))
        assert [int(e["sequence"]) for e in events] == list(range(1, len(events) + 1))
        assert [e["data"]["terminal"] for e in events] == [False] * (len(events) - 1) + [True]
        assert events[0]["data"]["from"] is None
        assert all(after["data"]["from"] == before["data"]["to"] for before, after in itertools.pairwise(events))


async def test_the_last_event_has_the_last_status_of_the_task(world: MakeWorld) -> None:
    """Whether a task succeeded, failed, or was stopped, its terminal event says so."""
    w = world(failed=0.3, stopped=0.3)
    w.submit(*(f"task-{n}" for n in range(30)))
    async with w.watcher() as watcher:
        await watcher.run()
    for ref in w.service.tasks.refs():
        truth = w.service.tasks.truth(ref)
        assert w.inbox.of(ref.key)[-1]["data"]["to"] == truth[-1][0]


async def test_every_event_repeats_the_context_unchanged(world: MakeWorld) -> None:
    """The context of a message is in each event of its task."""
    w = world()
    w.submit("task-1", context={"call": "c-42", "n": [1, 2.5, None]})
    async with w.watcher() as watcher:
        await watcher.run()
    assert {json.dumps(e["data"]["context"]) for e in w.inbox.bodies} == {'{"call": "c-42", "n": [1, 2.5, null]}'}


async def test_the_same_task_many_times_is_one_watch(world: MakeWorld) -> None:
    """A task that is submitted a hundred times has one first event, and all its messages are acknowledged."""
    w = world()
    w.submit(*["task-1"] * 100)
    async with w.watcher() as watcher:
        await watcher.run()
    assert sum(e["data"]["from"] is None for e in w.inbox.bodies) == 1
    assert len(w.queue.acked) == 100


async def test_there_is_at_most_one_call_about_a_task_at_once(world: MakeWorld) -> None:
    """However often a task is submitted, the service never sees two calls about it at the same time."""
    w = world(latency="uniform(0.5,2)")
    w.submit(*["task-1", "task-2"] * 20)
    async with w.watcher() as watcher:
        await watcher.run()
    assert w.service.stats.outcomes["ConflictException"] == 0


async def test_calls_never_exceed_the_configured_rate(world: MakeWorld) -> None:
    """A thousand tasks at a rate of 5/s are polled 5 times per second."""
    w = world(settings=ServiceSettings(pace=PaceSettings(rate=5)))
    w.submit(*(f"task-{n}" for n in range(1000)))
    async with w.running():
        await anyio.sleep(100)
    assert 485 <= w.service.stats.requests <= 501


async def test_a_configured_rate_is_used_at_once(world: MakeWorld) -> None:
    """It is a grant, so nothing is searched for: fifty tasks at 50/s are polled within two seconds."""
    w = world(durations="run=never", quota=1000.0, settings=ServiceSettings(pace=PaceSettings(rate=50)), finite=False)
    w.submit(*(f"task-{n}" for n in range(50)))
    async with w.running():
        await anyio.sleep(2)
        assert sum(e["data"]["from"] is None for e in w.inbox.bodies) == 50


@pytest.mark.parametrize(("rate", "least", "most"), [(50.0, 2.0, 5.0), (None, 0.1, 1.0)])
async def test_only_a_configured_rate_is_used_for_all_that_a_call_can_save(
    world: MakeWorld, rate: float | None, least: float, most: float
) -> None:
    """With one open task under a configured rate, calls go up to five times a second; without one, they are left to other clients."""
    w = world(durations="run=never", quota=1000.0, settings=ServiceSettings(pace=PaceSettings(rate=rate)), finite=False)
    w.submit("task-1")
    async with w.running():
        await anyio.sleep(40)
        before = w.service.stats.requests
        await anyio.sleep(20)
        assert least * 20 < w.service.stats.requests - before <= most * 20


async def test_an_invalid_message_becomes_a_dead_letter_and_delays_no_other(world: MakeWorld) -> None:
    """It is kept with the reason and acknowledged, and the valid messages beside it are watched."""
    w = world(finite=False)
    w.queue.put("not json")
    w.submit("task-1")
    w.queue.put("")
    async with w.running():
        await anyio.sleep(300)
    letters = (await w.store.dead_letters(DeadLetterQuery())).items
    assert sorted(letter.reason for letter in letters) == ["empty", "parse"]
    assert len(w.queue) == 0
    assert w.inbox.of(key("task-1"))[-1]["data"]["terminal"]


async def test_the_tasks_of_a_batch_of_messages_are_admitted_in_one_write(world: MakeWorld) -> None:
    """One write for the watches of all messages that came together; of several messages about one task, the first counts."""
    w = world(finite=False)
    writes: list[int] = []
    admit = w.store.admit

    async def counted(watches: Sequence[Watch], task_tokens: TaskTokens = NO_TOKENS) -> Sequence[Watch]:
        writes.append(len(watches))
        return await admit(watches, task_tokens)

    w.store.admit = counted  # type: ignore[method-assign]
    w.submit("task-1", context="first")
    w.submit("task-1", context="second")
    w.submit(*(f"task-{n}" for n in range(2, 10)))
    async with w.running():
        await anyio.sleep(60)
    assert writes == [9]
    assert {e["data"]["context"] for e in w.inbox.of(key("task-1"))} == {"first"}


async def test_intake_pauses_at_the_limit_of_watches(world: MakeWorld) -> None:
    """With room for ten watches, a hundred tasks are admitted as others end, and all of them are reported to their end."""
    w = world(settings=ServiceSettings(limits=Limits(max_watches=10)))
    w.submit(*(f"task-{n}" for n in range(100)))
    most = 0
    async with w.running() as watcher:
        for _ in range(600):
            await anyio.sleep(1)
            most = max(most, len(watcher.loops.pollers))
    assert most <= 10 + 2 * 10 * 2, "the limit, and what two receivers hold at most"
    assert len({e.key for e in w.inbox.events if e.terminal}) == 100


async def test_a_stop_lets_calls_in_flight_finish_and_leaves_the_rest_to_the_next_process(world: MakeWorld) -> None:
    """A watcher that is stopped returns within its deadline, and another one on the same store reports each task to its end."""
    w = world(finite=False, latency="fixed(3)")
    w.submit(*(f"task-{n}" for n in range(10)))
    async with w.running():
        await anyio.sleep(5)
        began = anyio.current_time()
    assert anyio.current_time() - began < 25
    assert not any(event.terminal for event in w.inbox.events)
    async with w.running():
        await anyio.sleep(300)
    assert len({event.key for event in w.inbox.events if event.terminal}) == 10
