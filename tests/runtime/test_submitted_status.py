"""The status in a message is the first observation of its task: it costs no call, and an old one moves nothing back."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import anyio
import pytest

from tests.runtime.conftest import MakeWorld, World, key
from tests.runtime.shared_store import RENEW_S, SharedStore, names_in, new_watch
from watcher.core.polling.cadence import CadenceSettings
from watcher.model import Change, Lease, Observation, TaskRef
from watcher.runtime.settings import ServiceSettings
from watcher.simulator.simulated_kinds import SIMULATED_KINDS

pytestmark = pytest.mark.looptime(noop_cycles=0)

EVERY_4_S = ServiceSettings(cadence=CadenceSettings(type="fixed", every=4))


def reply(w: World, name: str, *, age_s: float = 0.0, status: str | None = None) -> str:
    """What the call that started this task replied, `age_s` ago. The task exists from then on."""
    ref = TaskRef("speaker-search", ("abc123", name))
    started = w.service.tasks.find(SIMULATED_KINDS[ref.kind], *ref.params, w.wall())
    assert started is not None
    shown = started.reply(w.wall())
    at = datetime.fromtimestamp(w.wall() - age_s, UTC).isoformat()
    shown |= {"CreatedTimestamp": at, "UpdatedTimestamp": at, "SpeakerSearchTaskStatus": status or shown["SpeakerSearchTaskStatus"]}
    return json.dumps({"SpeakerSearchTask": shown})


def of(w: World, name: str) -> list[dict[str, Any]]:
    return [body["data"] for body in w.inbox.of(key(name))]


async def until(condition: Callable[[], bool]) -> None:
    """Wait for a condition, checked every 10 ms of virtual time. Only a hang reaches the limit."""
    with anyio.fail_after(300):
        while not condition():  # noqa: ASYNC110 - what is observed has no event
            await anyio.sleep(0.01)


async def test_the_first_event_comes_from_the_message_and_the_others_from_polls(world: MakeWorld) -> None:
    """It says so, it counts no poll, and the history of the task is complete."""
    w = world(finite=False, durations="queue=fixed(6),run=fixed(9)", partial=0, stopped=0, failed=0)
    async with w.running():
        w.queue.put(reply(w, "t-1"))
        await until(lambda: bool(w.inbox.events))
        assert w.service.stats.requests == 0
        await anyio.sleep(60)
    first, *others = of(w, "t-1")
    assert (first["from"], first["to"], first["skipped"], first["observed_from"], first["polls"]) == (None, "IN_QUEUE", [], "submission", 0)
    assert [each["to"] for each in others] == ["IN_PROGRESS", "SUCCEEDED"]
    assert {each["observed_from"] for each in others} == {"poll"}
    assert [body["sequence"] for body in w.inbox.of(key("t-1"))] == ["0000000001", "0000000002", "0000000003"]
    assert others[-1]["polls"] == w.service.stats.requests


async def calls_until_the_end(w: World, message: str) -> list[float]:
    """When each call about the only task is made, in seconds after its message."""
    began = anyio.current_time()
    made: list[float] = []

    def ended() -> bool:
        made.extend([anyio.current_time() - began] * (w.service.stats.requests - len(made)))
        return any(event.terminal for event in w.inbox.events)

    async with w.running():
        w.queue.put(message)
        await until(ended)
    return made


async def test_a_status_in_a_message_saves_a_call(world: MakeWorld) -> None:
    """The first poll is planned as after any other observation."""
    settings: dict[str, Any] = {"settings": EVERY_4_S, "durations": "queue=fixed(3),run=fixed(10)", "latency": "fixed(0)"}
    w, other = world(finite=False, **settings), world(finite=False, **settings)
    with_status = await calls_until_the_end(w, reply(w, "t-1"))
    without = await calls_until_the_end(other, json.dumps({"VoiceConnectorId": "abc123", "SpeakerSearchTaskId": "t-1"}))
    assert without[0] < 1
    assert with_status[0] == pytest.approx(4, abs=0.5)
    assert len(with_status) == len(without) - 1


@pytest.mark.parametrize("age_s", [2.5, 40.0])
async def test_an_observation_that_saves_no_call_is_followed_by_a_poll_at_once(world: MakeWorld, age_s: float) -> None:
    """It is older than half of the gap that it would begin."""
    w = world(settings=EVERY_4_S, finite=False, durations="queue=fixed(60),run=fixed(9)")
    async with w.running():
        w.queue.put(reply(w, "t-1", age_s=age_s))
        await anyio.sleep(3)
        assert w.service.stats.requests == 1
        assert [each["observed_from"] for each in of(w, "t-1")] == ["submission"]


@pytest.mark.parametrize("status", ["SUCCEEDED", "FAILED", "STOPPED", "PARTIAL_SUCCESS", "SOMETHING_NEW"])
async def test_no_message_ends_a_task(world: MakeWorld, status: str) -> None:
    """A status that is not an open one of the kind is not believed: the task is polled at once, and the poll is what is reported."""
    w = world(finite=False, durations="queue=fixed(30),run=fixed(9)")
    async with w.running():
        w.queue.put(reply(w, "t-1", status=status))
        await anyio.sleep(5)
    assert [(each["to"], each["observed_from"]) for each in of(w, "t-1")] == [("IN_QUEUE", "poll")]


async def test_an_old_message_never_moves_a_watch_back(world: MakeWorld) -> None:
    """The reply that started a task is delivered again while the task runs, and after its end."""
    w = world(finite=False, durations="queue=fixed(2),run=fixed(20)", partial=0, stopped=0, failed=0)
    async with w.running() as watcher:
        old = reply(w, "t-1")
        w.queue.put(old)
        await anyio.sleep(8)
        assert [each["to"] for each in of(w, "t-1")] == ["IN_QUEUE", "IN_PROGRESS"]
        w.queue.put(old)
        await anyio.sleep(32)
        w.queue.put(old)
        await anyio.sleep(30)
        assert len(watcher.loops.pollers) == 0
    assert [each["to"] for each in of(w, "t-1")] == ["IN_QUEUE", "IN_PROGRESS", "SUCCEEDED"]


async def test_a_status_in_a_message_needs_no_quota(world: MakeWorld) -> None:
    """It is reported while every call is throttled."""
    w = world(finite=False, quota=0)
    async with w.running():
        w.queue.put(reply(w, "t-1"))
        await anyio.sleep(30)
    assert [each["observed_from"] for each in of(w, "t-1")] == ["submission"]
    assert w.service.stats.outcomes["ok"] == 0


async def test_after_a_crash_before_the_commit_the_task_is_polled_at_once(world: MakeWorld) -> None:
    """Only the observation is lost: the next process loads a watch without a status, and polls it."""
    w = world(finite=False, durations="queue=fixed(300),run=fixed(9)")
    commit = w.store.commit

    async def hangs(changes: Sequence[Change], leases: Mapping[int, Lease]) -> Collection[str]:
        await anyio.sleep_forever()
        raise AssertionError

    w.store.commit = hangs  # type: ignore[method-assign]
    with anyio.move_on_after(10):
        async with w.watcher() as watcher, anyio.create_task_group() as tasks:
            tasks.start_soon(watcher.run)
            w.queue.put(reply(w, "t-1"))
            await anyio.sleep_forever()
    assert w.service.stats.requests == 0
    assert await w.store.count_open() == 1
    w.store.commit = commit  # type: ignore[method-assign]
    async with w.running():
        await anyio.sleep(5)
    assert [(each["to"], each["observed_from"]) for each in of(w, "t-1")] == [("IN_QUEUE", "poll")]


async def test_a_task_of_another_replica_is_polled_by_its_owner(world: MakeWorld) -> None:
    """The replica that receives the message only admits it; the owner knows nothing of the observation, and polls."""
    store = SharedStore(mine=[0])
    w = world(store=store, finite=False, durations="queue=fixed(300),run=fixed(9)")
    (mine,), (other,) = names_in(0, 1), names_in(1, 1)
    async with w.running():
        w.queue.put(reply(w, mine))
        w.queue.put(reply(w, other))
        await anyio.sleep(20)
        assert [each["observed_from"] for each in of(w, mine)] == ["submission"]
        assert of(w, other) == []
        store.mine.add(1)
        await anyio.sleep(RENEW_S + 20)
    assert [each["observed_from"] for each in of(w, other)] == ["poll"]


async def test_a_task_that_is_erased_before_the_commit_has_no_event(world: MakeWorld) -> None:
    """The commit writes nothing for it, and its watch is gone."""
    w = world(finite=False, durations="queue=fixed(300),run=fixed(9)")
    commit = w.store.commit

    async def erased_before(changes: Sequence[Change], leases: Mapping[int, Lease]) -> Collection[str]:
        w.store.content.erase(key("t-1"))  # type: ignore[attr-defined]
        return await commit(changes, leases)

    w.store.commit = erased_before  # type: ignore[method-assign]
    async with w.running() as watcher:
        w.queue.put(reply(w, "t-1"))
        await anyio.sleep(5)
        assert len(watcher.loops.pollers) == 0
    assert w.inbox.events == []
    assert w.service.stats.requests == 0


async def test_many_statuses_are_committed_together(world: MakeWorld) -> None:
    """One transaction for the messages of one receive, so that a burst of starts costs few writes."""
    w = world(finite=False, durations="queue=fixed(300),run=fixed(9)")
    sizes: list[int] = []
    commit = w.store.commit

    async def counted(changes: Sequence[Change], leases: Mapping[int, Lease]) -> Collection[str]:
        sizes.append(len(changes))
        return await commit(changes, leases)

    w.store.commit = counted  # type: ignore[method-assign]
    for n in range(10):
        w.queue.put(reply(w, f"t-{n}"))
    async with w.running():
        await anyio.sleep(1)
    assert sizes == [10]


async def test_each_status_is_committed_under_the_leases_of_its_own_time(world: MakeWorld) -> None:
    """A task whose shard was gained while another status waits for its commit is reported and polled like any other one."""
    store = SharedStore(mine=[0])
    w = world(store=store, finite=False, durations="queue=fixed(30),run=fixed(9)")
    first, second = new_watch(names_in(0, 1)[0]), new_watch(names_in(1, 1)[0])
    async with w.running() as watcher:
        await anyio.sleep(1)
        await store.admit([first, second])
        seen = Observation("IN_QUEUE", w.wall(), created_at=w.wall())
        watcher.loops.pollers.add([first], {first.key: seen})
        store.mine.add(1)
        watcher.loops.leases.update((await store.claim()).leases, anyio.current_time())
        watcher.loops.pollers.add([second], {second.key: seen})
        await anyio.sleep(1)
        found = [await store.task(each.key) for each in (first, second)]
        assert [each and each.status for each in found] == ["IN_QUEUE", "IN_QUEUE"]
        assert len(watcher.loops.pollers) == 2
