"""The overview that the page of the operator shows, from a running watcher."""

from __future__ import annotations

import json
from collections.abc import Sequence

import anyio
import pytest

from tests.api.running import api_client
from tests.runtime.conftest import EPOCH, MakeWorld
from tests.runtime.shared_store import SharedStore
from watcher.adapters.stores.memory import MemoryStore, MemoryStoreSettings
from watcher.api.store_parts import EVERY_S, FIRST_WAIT_S, StoreParts
from watcher.errors import StoreUnavailable, Unavailable
from watcher.kinds.catalog import builtin_catalog
from watcher.model import QuotaUse, Replica, Report
from watcher.query import OpenCount
from watcher.runtime.settings import Limits, ServiceSettings
from watcher.simulator.inbox import SimulatedInbox

pytestmark = pytest.mark.looptime


class CountedStore(MemoryStore):
    """Counts the reads of the open tasks, which fail or hang when the test says so."""

    reads = 0
    failure: Exception | None = None

    async def count_by_state(self, now: float) -> Sequence[OpenCount]:
        self.reads += 1
        if self.failure is not None:
            raise self.failure
        return await super().count_by_state(now)


async def test_it_has_open_tasks_calls_and_sinks(world: MakeWorld) -> None:
    """The overview counts open tasks by status and age, and has the calls by quota, the sinks, and the samples of the time so far."""
    w = world(finite=False, durations="queue=fixed(0),run=fixed(100)")
    async with api_client(w) as client:
        w.submit("t1", "t2")
        await anyio.sleep(30)
        found = (await client.get("/v1/overview")).json()
        assert found["ok"]
        assert found["tasks"]["groups"] == [{"kind": "speaker-search", "status": "IN_PROGRESS", "upto_s": 60.0, "count": 2}]
        assert (found["tasks"]["count"], found["tasks"]["ages"][-1], found["tasks"]["unavailable"]) == (2, None, None)
        calls = {each["quota"]: each for each in found["calls"]}
        assert calls["speaker-search"]["open"] == 2
        assert calls["speaker-search"]["answered"] > 0
        assert [(sink["name"], sink["ok"], sink["backlog"]) for sink in found["sinks"]] == [(w.inbox.name, True, 0)]
        assert found["sinks"][0]["delivered"] >= 2
        assert found["kinds"]["speaker-search"]["SUCCEEDED"] == "succeeded"
        assert found["replicas"] == {"shared": False, "shards": 0, "unowned": 0, "trouble": [], "replicas": [], "unavailable": None}
        history = found["history"]
        assert history["at"] == pytest.approx([EPOCH + 5 * n for n in range(1, len(history["at"]) + 1)], abs=1)
        assert {len(history[name]) for name in ("open", "lag_mean_s", "calls_per_task")} == {len(history["at"])}
        newer = (await client.get("/v1/overview", params={"since": history["at"][-2]})).json()
        assert newer["history"]["at"][0] == history["at"][-1]


async def test_what_does_not_work_has_a_reason_and_a_hint(world: MakeWorld) -> None:
    """A sink that fails is not ok, with the reason and the hint of /readyz, and its backlog and the age of that."""
    down = SimulatedInbox(name="down")
    down.failure = Unavailable("503")
    w = world(sinks=[down], finite=False, durations="queue=fixed(0),run=fixed(1)")
    async with api_client(w) as client:
        w.submit("t1")
        await anyio.sleep(120)
        found = (await client.get("/v1/overview")).json()
    assert not found["ok"]
    [component] = [each for each in found["components"] if not each["ok"]]
    assert component["name"] == "sink:down"
    assert component["reason"]
    assert component["hint"]
    [sink] = found["sinks"]
    assert (sink["ok"], sink["backlog"] > 0, sink["oldest_s"] > 60) == (False, True, True)


async def test_a_store_that_fails_makes_only_its_own_part_unavailable(world: MakeWorld) -> None:
    """While the store cannot be read, the overview still has everything else, and says why the open tasks are missing."""
    store = CountedStore(MemoryStoreSettings())
    async with api_client(world(store=store, finite=False)) as client:
        store.failure = StoreUnavailable("disk full")
        reply = await client.get("/v1/overview")
        assert reply.status_code == 200
        assert "disk full" in reply.json()["tasks"]["unavailable"]
        assert (reply.json()["tasks"]["count"], len(reply.json()["calls"])) == (None, len(builtin_catalog().quotas))
        store.failure = None
        await anyio.sleep(2 * EVERY_S)
        await client.get("/v1/overview")
        await anyio.sleep(EVERY_S)
        assert (await client.get("/v1/overview")).json()["tasks"]["count"] == 0


async def test_many_pages_are_one_read_of_the_store(world: MakeWorld) -> None:
    """For any number of open pages, the store is read at most once in two seconds, and without pages it is not read."""
    store = CountedStore(MemoryStoreSettings())
    async with api_client(world(store=store, finite=False)) as client:
        await anyio.sleep(60)
        assert store.reads == 0
        began = anyio.current_time()
        for _ in range(50):
            await client.get("/v1/overview")
            await anyio.sleep(0.2)
        assert store.reads <= 1 + (anyio.current_time() - began) / EVERY_S


async def test_a_store_that_hangs_blocks_no_page() -> None:
    """A read that does not return delays the first answer by two seconds at most, and later ones not at all; the old value goes stale."""
    answers = anyio.Event()

    async def read() -> int:
        await answers.wait()
        return 7

    parts = StoreParts({"n": read})
    async with anyio.create_task_group() as group:
        group.start_soon(parts.run)
        began = anyio.current_time()
        assert (await parts.latest())["n"].unavailable == "the store does not answer"
        assert anyio.current_time() - began <= FIRST_WAIT_S
        answers.set()
        assert (await parts.latest())["n"].value == 7
        answers = anyio.Event()
        for _ in range(100):
            await anyio.sleep(EVERY_S)
            found = (await parts.latest())["n"]
        assert (found.value, found.unavailable) == (None, "the store does not answer")
        group.cancel_scope.cancel()


class ReplicatedStore(SharedStore):
    """A store with two replicas, one of which has not renewed its leases in time."""

    async def replicas(self) -> Sequence[Replica]:
        reports = Report("1.0", 2, {"speaker-search": QuotaUse(5.0, 3)})
        return [Replica("a", EPOCH, 1.0, 14.0, (0, 1), reports), Replica("b", EPOCH, 13.0, 2.0, (2,), reports)]


async def test_replicas_are_shown_with_what_is_wrong(world: MakeWorld) -> None:
    """On a store that replicas share, each replica is shown with its shards, and what is wrong in sentences."""
    async with api_client(world(store=ReplicatedStore(), finite=False)) as client:
        found = (await client.get("/v1/overview")).json()["replicas"]
    assert (found["shared"], found["shards"], found["unowned"], found["unavailable"]) == (True, 4, 1, None)
    assert [(each["name"], each["shards"], each["quotas"]["speaker-search"]["watches"]) for each in found["replicas"]] == [
        ("a", 2, 3),
        ("b", 1, 3),
    ]
    assert ["1 of 4 shards" in found["trouble"][0], "b has not renewed" in found["trouble"][1]] == [True, True]


async def test_a_limit_that_pauses_intake_is_shown(world: MakeWorld) -> None:
    """While intake is paused, the overview has the reason and what to do, although the watcher is ready."""
    w = world(finite=False, settings=ServiceSettings(limits=Limits(max_watches=1)), durations="queue=fixed(0),run=never")
    async with api_client(w) as client:
        w.submit("t1")
        await anyio.sleep(10)
        found = (await client.get("/v1/overview")).json()
    assert [pause["reason"] for pause in found["paused"]] == ["max_watches"]
    assert "limits.max_watches" in found["paused"][0]["hint"]
    assert found["ok"]


async def test_no_result_no_message_and_no_context(world: MakeWorld) -> None:
    """The overview has none of what a task found, of the messages of the service, and of the contexts."""
    w = world(finite=False, durations="queue=fixed(0),run=fixed(1)", mark="canary")
    async with api_client(w) as client:
        w.submit("t1", context={"call": "canary"})
        await anyio.sleep(60)
        assert "canary" in json.dumps((await client.get("/v1/tasks/speaker-search/abc123/t1")).json())
        assert "canary" not in (await client.get("/v1/overview")).text
