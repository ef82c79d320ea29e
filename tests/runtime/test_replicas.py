"""Several watchers on one shared store: who polls what, and what happens when one of them ends, hangs, or is cut off."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from dataclasses import dataclass, field

import anyio
import pytest
from structlog.testing import capture_logs

from tests.runtime.conftest import EPOCH, key
from tests.runtime.test_notifications import notification
from watcher.adapters.stores.memory import MemoryReplica, SharedMemory
from watcher.core.polling.open_circuits import STATE
from watcher.core.polling.pace import PaceSettings
from watcher.errors import StoreUnavailable
from watcher.model import Claim, Event, Report, TaskRef
from watcher.runtime.assembly import assemble
from watcher.runtime.clock import Clock
from watcher.runtime.service import Adapters, Watcher
from watcher.runtime.settings import Determinism, ServiceSettings
from watcher.simulator.inbox import SimulatedInbox
from watcher.simulator.probe import SimulatedProbe
from watcher.simulator.queue import SimulatedQueue
from watcher.simulator.scenario import Scenario
from watcher.simulator.service import VoiceService

pytestmark = pytest.mark.looptime(noop_cycles=0)

SHARDS = 12
LEASE_S, RENEW_S = 15.0, 5.0


class CountingProbe(SimulatedProbe):
    """Notes the task and the time of each call."""

    def __init__(self, service: VoiceService) -> None:
        super().__init__(service)
        self.calls: list[tuple[str, float]] = []

    async def observe(self, refs: Sequence[TaskRef]):  # type: ignore[no-untyped-def]
        self.calls += [(ref.key, anyio.current_time()) for ref in refs]
        return await super().observe(refs)


@dataclass
class One:
    """A replica: its watcher, its store, and its peers."""

    watcher: Watcher
    store: MemoryReplica
    probe: CountingProbe
    inbox: SimulatedInbox
    queue: SimulatedQueue
    process: anyio.CancelScope = field(default_factory=anyio.CancelScope)

    @property
    def polled(self) -> set[str]:
        return {task for task, _ in self.probe.calls}

    @property
    def owned(self) -> set[int]:
        return set(self.watcher.loops.leases.held)

    async def run(self) -> None:
        """Until it is stopped or killed."""
        with self.process:
            async with self.watcher:
                await self.watcher.run()

    def kill(self) -> None:
        """End at once: nothing is released, and the store hears nothing."""
        self.store.close = self._never  # type: ignore[method-assign]
        self.process.cancel()

    async def _never(self) -> None:
        return None


class Fleet:
    """Replicas on one store, against one simulated service."""

    def __init__(self, rate: float | None = None, **scenario: object) -> None:
        self.service = VoiceService(Scenario(**{"seed": 1, "quota": 1000.0, "partial": 0, **scenario}), clock=self.wall)  # type: ignore[arg-type]
        self.shared = SharedMemory(SHARDS, self.wall, lease_s=LEASE_S, renew_s=RENEW_S)
        self.settings = ServiceSettings(pace=PaceSettings(rate=rate))
        self.replicas: list[One] = []

    @staticmethod
    def wall() -> float:
        return EPOCH + anyio.current_time()

    def add(self) -> One:
        """A replica that is not started."""
        number = len(self.replicas)
        ids, store, probe = random.Random(number), self.shared.replica(f"replica-{number}"), CountingProbe(self.service)
        inbox, queue = SimulatedInbox(), SimulatedQueue(finite=False)
        determinism = Determinism(Clock(self.wall), random.Random(number), lambda: f"{ids.getrandbits(128):032x}")
        watcher = assemble(Adapters([queue], probe, store, [inbox]), self.settings, determinism=determinism)
        self.replicas.append(One(watcher, store, probe, inbox, queue))
        return self.replicas[-1]

    def submit(self, names: Sequence[str], to: One) -> None:
        for name in names:
            to.queue.put(json.dumps({"VoiceConnectorId": "abc123", "SpeakerSearchTaskId": name}))

    @property
    def events(self) -> list[Event]:
        return [event for replica in self.replicas for event in replica.inbox.events]


NAMES = [f"task-{n}" for n in range(60)]


async def test_replicas_share_the_shards_and_each_task_is_polled_by_one_of_them() -> None:
    """Whichever replica receives a message, the owner of its shard polls the task; no event is delivered twice."""
    fleet = Fleet(durations="queue=fixed(2),run=fixed(20)")
    one, two, three = (fleet.add() for _ in range(3))
    async with anyio.create_task_group() as tasks:
        for replica in fleet.replicas:
            tasks.start_soon(replica.run)
        await anyio.sleep(20)
        assert sorted(len(replica.owned) for replica in fleet.replicas) == [4, 4, 4]
        fleet.submit(NAMES, one)
        await anyio.sleep(120)
        tasks.cancel_scope.cancel()
    assert one.polled | two.polled | three.polled == {key(name) for name in NAMES}
    assert not one.polled & two.polled
    assert not two.polled & three.polled
    assert all(replica.polled for replica in fleet.replicas)
    assert len({event.id for event in fleet.events}) == len(fleet.events)
    assert sum(event.terminal for event in fleet.events) == len(NAMES)


async def test_a_task_that_another_replica_received_is_polled_within_a_second() -> None:
    """The store tells the owner at once: it does not wait for its next look at the store."""
    fleet = Fleet(durations="run=never")
    one, two = fleet.add(), fleet.add()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(one.run)
        tasks.start_soon(two.run)
        await anyio.sleep(30.5)
        fleet.submit(NAMES, one)
        await anyio.sleep(10)
        tasks.cancel_scope.cancel()
    received, (_, first) = one.probe.calls[0][1], two.probe.calls[0]
    assert abs(first - received) < 1


async def test_the_shards_of_a_killed_replica_are_taken_over_when_its_lease_ends() -> None:
    """Its tasks are polled again soon after, their events continue in order, and nothing is lost."""
    fleet = Fleet(durations="queue=fixed(2),run=fixed(60)")
    one, two = fleet.add(), fleet.add()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(one.run)
        tasks.start_soon(two.run)
        await anyio.sleep(20)
        fleet.submit(NAMES, two)
        await anyio.sleep(10)
        orphans = set(one.polled)
        assert orphans
        one.kill()
        killed = anyio.current_time()
        await anyio.sleep(LEASE_S + 2)
        taken_over = {task for task, at in two.probe.calls if at > killed} & orphans
        assert taken_over, "polled within the lease and two seconds"
        assert two.owned == set(range(SHARDS))
        await anyio.sleep(120)
        tasks.cancel_scope.cancel()
    assert fleet.service.stats.peak_per_task == 1
    sequences: dict[str, set[int]] = {}
    for event in fleet.events:
        sequences.setdefault(event.key, set()).add(int(json.loads(event.body)["sequence"]))
    assert all(found == set(range(1, len(found) + 1)) for found in sequences.values())
    assert {event.key for event in fleet.events if event.terminal} == {key(name) for name in NAMES}


async def test_a_clean_stop_hands_everything_over_at_once() -> None:
    """Another replica polls the tasks of the one that stops within a second, and no call is made twice meanwhile."""
    fleet = Fleet(durations="run=never", latency="fixed(0.3)")
    one, two = fleet.add(), fleet.add()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(one.run)
        tasks.start_soon(two.run)
        await anyio.sleep(20)
        fleet.submit(NAMES, two)
        await anyio.sleep(20)
        theirs = set(one.polled)
        one.watcher.stop()
        stopped = anyio.current_time()
        await anyio.sleep(1)
        assert two.owned == set(range(SHARDS))
        await anyio.sleep(30)
        assert theirs <= {task for task, at in two.probe.calls if at > stopped}
        tasks.cancel_scope.cancel()
    assert fleet.service.stats.peak_per_task == 1


async def test_a_new_replica_gets_its_share_without_a_second_call_about_any_task() -> None:
    """Shards are handed over one by one: calls in flight end first."""
    fleet = Fleet(durations="run=never", latency="uniform(0.1,4)")
    one, two = fleet.add(), fleet.add()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(one.run)
        await anyio.sleep(1)
        fleet.submit(NAMES, one)
        await anyio.sleep(30)
        tasks.start_soon(two.run)
        await anyio.sleep(60)
        assert len(one.owned) == len(two.owned) == SHARDS // 2
        assert two.polled
        tasks.cancel_scope.cancel()
    assert fleet.service.stats.peak_per_task == 1


class CutOff:
    """Cuts a replica off from its store: every call fails."""

    def __init__(self, replica: One) -> None:
        self._store = replica.store
        self._saved = {name: getattr(replica.store, name) for name in ("claim", "commit", "settle", "admit", "read_outbox", "requests")}

    def __enter__(self) -> None:
        for name in self._saved:
            setattr(self._store, name, self._fail)

    def __exit__(self, *_: object) -> None:
        for name, call in self._saved.items():
            setattr(self._store, name, call)

    async def _fail(self, *args: object, **options: object) -> None:
        await anyio.sleep(0.01)
        raise StoreUnavailable("connection refused")


async def test_a_replica_that_is_cut_off_from_the_store_stops_before_its_lease_ends() -> None:
    """It polls and delivers nothing from then on, so no task has two calls in flight; when it is back, it takes part again."""
    fleet = Fleet(durations="run=never", latency="fixed(0.5)")
    one, two = fleet.add(), fleet.add()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(one.run)
        tasks.start_soon(two.run)
        await anyio.sleep(20)
        fleet.submit(NAMES, two)
        await anyio.sleep(20)
        with CutOff(one):
            cut = anyio.current_time()
            await anyio.sleep(60)
            assert max(at for _, at in one.probe.calls) < cut + LEASE_S
            assert {task for task, at in two.probe.calls if at > cut + LEASE_S} == {key(name) for name in NAMES}
        await anyio.sleep(60)
        assert len(one.owned) == SHARDS // 2
        assert max(at for _, at in one.probe.calls) > anyio.current_time() - 30
        tasks.cancel_scope.cancel()
    assert fleet.service.stats.peak_per_task == 1


async def test_a_call_in_flight_is_given_up_when_the_lease_ends() -> None:
    """A reply after that would come too late: its task may have another owner."""
    fleet = Fleet(durations="run=never", latency="fixed(100)")
    one = fleet.add()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(one.run)
        fleet.submit(NAMES[:1], one)
        while not one.probe.calls:  # noqa: ASYNC110 - a call sets no event
            await anyio.sleep(0.1)
        with CutOff(one):
            await anyio.sleep(40)
            assert one.watcher.loops.pollers.in_flight == 0
        tasks.cancel_scope.cancel()
    assert b'outcome="unavailable",target="default"} 1.0' in one.watcher.metrics.render()


async def test_a_lone_replica_continues_after_an_outage_of_the_store_without_loading_again() -> None:
    """Nobody took its shards over, so what it has in memory is still true."""
    fleet = Fleet(durations="run=never")
    one = fleet.add()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(one.run)
        await anyio.sleep(1)
        fleet.submit(NAMES, one)
        await anyio.sleep(30)
        epochs = {lease.epoch for lease in one.watcher.loops.leases.held.values()}
        loads = [0]
        load = one.store.load

        def counted(lease):  # type: ignore[no-untyped-def]
            loads[0] += 1
            return load(lease)

        one.store.load = counted  # type: ignore[method-assign]
        with CutOff(one):
            await anyio.sleep(120)
        back = anyio.current_time()
        await anyio.sleep(60)
        assert {lease.epoch for lease in one.watcher.loops.leases.held.values()} == epochs
        assert loads == [0]
        assert {task for task, at in one.probe.calls if at > back} == {key(name) for name in NAMES}
        tasks.cancel_scope.cancel()


async def test_a_configured_rate_is_divided_among_the_replicas() -> None:
    """With 20 calls a second for three replicas, the service sees 20 calls a second, about a third from each."""
    fleet = Fleet(rate=20.0, durations="run=never", quota=20.0)
    async with anyio.create_task_group() as tasks:
        for _ in range(3):
            tasks.start_soon(fleet.add().run)
        await anyio.sleep(20)
        fleet.submit([f"task-{n}" for n in range(2000)], fleet.replicas[0])
        await anyio.sleep(120)
        before = [len(replica.probe.calls) for replica in fleet.replicas]
        await anyio.sleep(100)
        calls = [len(replica.probe.calls) - count for replica, count in zip(fleet.replicas, before, strict=True)]
        tasks.cancel_scope.cancel()
    assert 1800 < sum(calls) <= 2050
    assert max(calls) < 1.3 * min(calls)


async def test_a_replica_that_joins_does_not_call_faster_than_the_others_found() -> None:
    """With 40 calls a second configured and 5 allowed, a second replica starts near its part of the 5, not at its part of the 40."""
    fleet = Fleet(rate=40.0, durations="run=never", quota=5.0)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(fleet.add().run)
        fleet.submit([f"task-{n}" for n in range(500)], fleet.replicas[0])
        await anyio.sleep(120)
        two = fleet.add()
        tasks.start_soon(two.run)
        rates: list[float] = []
        while not rates:
            await anyio.sleep(0.1)
            rates = [use.rate for use in two.watcher.loops.pollers.report().values() if use.watches]
        assert max(rates) < 6
        tasks.cancel_scope.cancel()


async def test_a_late_answer_of_a_claim_does_not_bring_back_a_shard_that_was_fenced() -> None:
    """The lease in that answer is released, and the shard is adopted only under a later one."""
    fleet = Fleet(durations="run=never")
    one = fleet.add()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(one.run)
        await anyio.sleep(1)
        ownership, held = one.watcher.loops.ownership, dict(one.watcher.loops.leases.held)
        claim = one.store.claim

        async def late(report: Report | None = None) -> Claim:
            answer = await claim(report)
            await anyio.sleep(1)
            return answer

        one.store.claim = late  # type: ignore[method-assign]
        await anyio.sleep(4.5)
        with capture_logs():
            ownership.fenced([3])
        await anyio.sleep(30)
        assert one.watcher.loops.leases.held[3].epoch > held[3].epoch
        assert one.owned == set(range(SHARDS))
        tasks.cancel_scope.cancel()


async def test_a_notification_at_another_replica_makes_the_owner_poll_at_once() -> None:
    """It counts as a hint where it is received, and the owner of the task makes the call."""
    fleet = Fleet(durations="run=never")
    one, two = fleet.add(), fleet.add()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(one.run)
        tasks.start_soon(two.run)
        await anyio.sleep(20)
        fleet.submit(NAMES[:8], one)
        await anyio.sleep(2000)
        (theirs, *_) = sorted(two.polled)
        before = [task for task, _ in two.probe.calls].count(theirs)
        one.queue.put(notification(theirs.rpartition("/")[2]))
        await anyio.sleep(3)
        assert [task for task, _ in two.probe.calls].count(theirs) == before + 1
        assert theirs not in one.polled
        assert b'watcher_inputs_total{outcome="hint",source="queue"} 1.0' in one.watcher.metrics.render()
        tasks.cancel_scope.cancel()


async def test_a_replica_that_has_left_claims_nothing_more() -> None:
    """Also when a claim, under way while it leaves, granted shards that it did not have before."""
    fleet = Fleet(durations="run=never")
    one, two = fleet.add(), fleet.add()
    calls: list[str] = []
    claim = one.store.claim

    async def late(report: Report | None = None) -> Claim:
        calls.append("claim")
        answer = await claim(report)
        await anyio.sleep(1)
        return answer

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(two.run)
        await anyio.sleep(1)
        tasks.start_soon(one.run)
        await anyio.sleep(10)
        one.store.claim = late  # type: ignore[method-assign]
        two.watcher.stop()
        while not calls:  # noqa: ASYNC110 - the signal of the other replica makes it claim
            await anyio.sleep(0.1)
        await one.watcher.loops.ownership.give_back()
        await anyio.sleep(20)
        assert len(calls) == 1
        assert not fleet.shared.leases.replicas()
        tasks.cancel_scope.cancel()


async def test_open_circuits_are_saved_again_after_the_leases_ended() -> None:
    """The store removed them with the earlier name of the replica, and `watcher explain` needs them for as long as they are open."""
    fleet = Fleet(durations="run=never")
    one = fleet.add()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(one.run)
        await anyio.sleep(1)
        one.watcher.health.bad("circuit:throttled", "many calls were throttled", "wait")
        await anyio.sleep(6)
        assert "circuit:throttled" in "".join(await one.store.load_states(STATE))
        fleet.shared.leases.leave(one.store.replica)
        await anyio.sleep(60)
        assert one.store.replica == "replica-0-2"
        assert "circuit:throttled" in "".join(await one.store.load_states(STATE))
        tasks.cancel_scope.cancel()
