"""Each target has its own pace, circuits, and pending set under a quota, which exist from its first watch on."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from random import Random

import anyio
import pytest
import structlog

from tests.runtime.conftest import EPOCH
from tests.runtime.test_batched_calls import JOB, running
from watcher.adapters.stores.memory import MemoryStore, MemoryStoreSettings
from watcher.core.polling.cadence import CadenceSettings
from watcher.core.polling.schedule import state_name
from watcher.core.polling.transitions import WatchSettings
from watcher.errors import CredentialsRejected, RemoteError, Throttled
from watcher.kinds.catalog import Catalog
from watcher.kinds.kind_files import read_kinds
from watcher.model import Claim, Lease, Observation, QuotaUse, Replica, Report, Scope, TaskRef, Watch
from watcher.queries.explain import explain_task
from watcher.queries.poll_plan import PollSettings
from watcher.runtime.assembly import assemble
from watcher.runtime.clock import Clock
from watcher.runtime.polling import Poller
from watcher.runtime.service import Adapters, Watcher
from watcher.runtime.settings import Determinism, ServiceSettings
from watcher.simulator.inbox import SimulatedInbox

pytestmark = pytest.mark.looptime(noop_cycles=0)

FIRST = JOB.format(name="job").partition("batch:")[0]
OTHER = FIRST.replace("name: job", "name: build").replace("service: batch", "service: codebuild").replace("describe-jobs", "builds")
CATALOG = Catalog(read_kinds({"job.yaml": FIRST, "other.yaml": OTHER}), "job")
TARGETS = {"eu": Scope("eu-west-1"), "us": Scope("us-east-1")}


class Fails:
    """Fails each call to some targets, each with its error; the tasks of the others run. Counts the calls of each target."""

    def __init__(self, **errors: RemoteError) -> None:
        self.errors = errors
        self.calls: Counter[str] = Counter()

    async def open(self) -> None: ...
    async def close(self) -> None: ...
    async def refresh(self, target: str) -> None: ...
    async def check(self) -> str:
        return ""

    async def observe(self, refs: Sequence[TaskRef]) -> Sequence[Observation | RemoteError]:
        (ref,) = refs
        self.calls[ref.target] += 1
        await anyio.sleep(0.05)
        if ref.target in self.errors:
            raise self.errors[ref.target]
        return [running(ref)]


class Places:
    """A watcher over tasks in several targets."""

    def __init__(self, probe: Fails, store: MemoryStore | None = None) -> None:
        self.probe, self.inbox = probe, SimulatedInbox()
        self.store = store or MemoryStore(MemoryStoreSettings())
        self.settings = ServiceSettings(
            cadence=CadenceSettings(type="fixed", every=1), catalog=CATALOG, region="eu-central-1", targets=TARGETS
        )

    async def admit(self, *targets: str, kind: str = "job", count: int = 10) -> None:
        refs = [TaskRef(kind, (f"t{n}",), target) for target in targets for n in range(count)]
        await self.store.admit([Watch(ref, ref.key.replace("/", "-"), EPOCH, EPOCH + 86_400) for ref in refs])

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Watcher]:
        clock = Clock(lambda: EPOCH + anyio.current_time())
        adapters = Adapters([], self.probe, self.store, [self.inbox])
        async with (
            assemble(adapters, self.settings, determinism=Determinism(clock, Random(1))) as watcher,
            anyio.create_task_group() as tasks,
        ):
            tasks.start_soon(watcher.run)
            yield watcher
            watcher.stop()


def poller_of(watcher: Watcher, name: str) -> Poller:
    return next(poller for poller in watcher.loops.pollers if poller.of.name == name)


def names_of(watcher: Watcher) -> list[str]:
    return sorted(poller.of.name for poller in watcher.loops.pollers)


async def test_throttling_in_one_target_slows_no_other() -> None:
    """Under the same quota, each has its pace; readiness, metrics, and the store name the target."""
    places = Places(Fails(eu=Throttled("TooManyRequests")))
    await places.admit("default", "eu", "us")
    async with places.running() as watcher:
        await anyio.sleep(60)
        assert names_of(watcher) == ["describe-jobs", "describe-jobs:eu", "describe-jobs:us"]
        assert places.probe.calls["eu"] < 10, "two calls a minute, after the first few"
        assert min(places.probe.calls["default"], places.probe.calls["us"]) > 100
        assert [watcher.health.is_good(f"quota:describe-jobs{suffix}") for suffix in ("", ":eu", ":us")] == [True, False, True]
        assert "the target eu" in watcher.health.ready()[1]["quota:describe-jobs:eu"].hint
        sample = watcher.metrics.registry.get_sample_value
        calls = {"kind": "job", "outcome": "throttled"}
        assert sample("watcher_polls_total", {"target": "eu", **calls}) == places.probe.calls["eu"]
        assert sample("watcher_polls_total", {"target": "us", **calls}) == 0
        assert sample("watcher_pace_calls_per_second", {"target": "eu", "quota": "describe-jobs"}) < 0.2
    quota = CATALOG["job"].quota
    paces = [float(await places.store.load_state(state_name("pace", quota, target)) or "nan") for target in ("default", "eu", "us")]
    assert paces[1] < 0.2 < 1 < min(paces[0], paces[2])


async def test_a_circuit_of_one_target_holds_no_call_to_another() -> None:
    """Rejected credentials of a role stop the calls of its target only."""
    places = Places(Fails(eu=CredentialsRejected("AccessDenied")))
    await places.admit("default", "eu")
    async with places.running() as watcher:
        await anyio.sleep(30)
        assert poller_of(watcher, "describe-jobs:eu").policy.circuits.open == ("credentials",)
        assert not poller_of(watcher, "describe-jobs").policy.circuits.open
        assert (watcher.health.is_good("circuit:credentials:eu"), watcher.health.is_good("circuit:credentials")) == (False, True)
        assert places.probe.calls["default"] > 100


async def test_the_pace_of_each_target_survives_a_restart() -> None:
    """A poller that is made for its first watch continues with the rate that an earlier process found there."""
    places = Places(Fails())
    await places.store.save_state("pace describe-jobs", "7.5")
    await places.store.save_state("pace describe-jobs:eu", "2.5")
    await places.admit("default", "eu", count=1)
    async with places.running() as watcher:
        await anyio.sleep(0.01)
        assert [poller_of(watcher, name).policy.pace.rate for name in ("describe-jobs", "describe-jobs:eu")] == [7.5, 2.5]
        assert names_of(watcher) == ["describe-jobs", "describe-jobs:eu"]


async def test_a_quota_costs_nothing_before_its_first_watch() -> None:
    """No poller, no series, and no component: then all of them, with counters at 0 before the first call."""
    places = Places(Fails())
    await places.admit("default", count=1)
    async with places.running() as watcher:
        await anyio.sleep(1)
        before = watcher.metrics.render()
        assert names_of(watcher) == ["describe-jobs"]
        assert b'kind="build"' not in before
        assert not [name for name in watcher.health.ready()[1] if "build" in name]
        await places.admit("us", kind="build", count=1)
        watcher.loops.pollers.add([watch async for watch in _open_watches(places.store)])
        assert b'watcher_polls_total{kind="build",outcome="throttled",target="us"} 0.0' in watcher.metrics.render()
        assert {"quota:builds:us", "circuit:outage:codebuild:us"} <= watcher.health.ready()[1].keys()
        await anyio.sleep(5)
        assert places.probe.calls["us"] > 2
        assert watcher.loops.pollers.poll_now("us/build/t0")
        assert not watcher.loops.pollers.poll_now("eu/build/t0")
        assert watcher.loops.pollers.watched("us/build/t0") == "us-build-t0"


async def _open_watches(store: MemoryStore) -> AsyncIterator[Watch]:
    async for watches in store.load(Lease(0, 1)):
        for watch in watches:
            yield watch


async def test_a_watch_of_an_unknown_target_stays_in_the_store() -> None:
    """Its target may be configured again. The log names it at its first watch, and the others are polled."""
    places = Places(Fails())
    await places.admit("default", "mars", count=3)
    with structlog.testing.capture_logs() as lines:
        async with places.running() as watcher:
            await anyio.sleep(10)
            assert len(watcher.loops.pollers) == 3
    assert [line["target"] for line in lines if line["event"] == "unknown_target"] == ["mars"]
    assert places.probe.calls["mars"] == 0
    assert await places.store.count_open() == 6


async def test_events_name_the_region_of_the_target() -> None:
    """The source of an event has the Region in which its task is."""
    places = Places(Fails())
    await places.admit("default", "us", count=1)
    async with places.running():
        await anyio.sleep(5)
    sources = {event.key: json.loads(event.body)["source"] for event in places.inbox.events}
    assert sources == {"job/t0": "/watcher/job/eu-central-1/t0", "us/job/t0": "/watcher/job/us-east-1/t0"}


async def test_replicas_divide_the_calls_of_each_target() -> None:
    """The reports of replicas name the target; one that polls another target only takes no part."""
    places = Places(Fails())
    await places.admit("default", "eu", count=1)
    async with places.running() as watcher:
        await anyio.sleep(5)
        pollers = watcher.loops.pollers
        assert pollers.report().keys() == {"describe-jobs", "describe-jobs:eu"}
        use = QuotaUse(6.0, 5)
        other = Replica("b", EPOCH, 0.0, 15.0, [0], Report("1.2", 1, {"describe-jobs:eu": use, "describe-jobs:us": use}))
        pollers.share_pace(Claim([], me="a", replicas=[Replica("a", EPOCH, 0.0, 15.0, [], Report()), other]))
        assert [poller_of(watcher, name).policy.pace.sharers for name in ("describe-jobs", "describe-jobs:eu")] == [1, 2]
        await places.admit("us", count=1)
        pollers.add([watch async for watch in _open_watches(places.store)])
        await anyio.sleep(0.001)
        new = poller_of(watcher, "describe-jobs:us").policy.pace
        assert (new.sharers, new.rate) == (2, 3.0), "it takes its part of the rate of the others"


async def test_an_explanation_is_about_the_target_of_the_task() -> None:
    """The pace, the open tasks, and what was learned are those of its target, and the plan names it."""
    places = Places(Fails())
    await places.admit("default", count=10)
    await places.admit("eu", count=2)
    async with places.running():
        await anyio.sleep(40)
    await places.store.save_state("pace describe-jobs:eu", "2.5")
    found = await explain_task(places.store, CATALOG, "eu/job/t0", PollSettings(WatchSettings(), CadenceSettings()), EPOCH + 40)
    assert found.next is not None
    assert found.task is not None
    assert (found.next.pace, found.next.open_tasks, found.task.polls > 1) == (2.5, 2, True)
    own = await explain_task(places.store, CATALOG, "job/t0", PollSettings(WatchSettings(), CadenceSettings()), EPOCH + 40)
    assert own.next is not None
    assert own.next.open_tasks == 10
    assert found.next.why[-1].startswith("the pace of the target eu is 2.5 calls/s; open tasks that share it: 2;")


async def test_what_was_learned_is_not_replaced_before_it_is_restored() -> None:
    """A save while the state of a new poller is still being read leaves it as it is in the store."""

    class Slow(MemoryStore):
        async def load_state(self, name: str) -> str | None:
            if name.endswith(":us"):
                await anyio.sleep(60)
            return await super().load_state(name)

    places = Places(Fails(), Slow(MemoryStoreSettings()))
    await places.store.save_state("pace describe-jobs:us", "2.5")
    await places.admit("default", "us", count=1)
    async with places.running() as watcher:
        await anyio.sleep(40)
        assert places.probe.calls["us"] == 0
        assert await MemoryStore.load_state(places.store, "pace describe-jobs:us") == "2.5"
        await anyio.sleep(90)
        assert places.probe.calls["us"] > 0
        assert poller_of(watcher, "describe-jobs:us").policy.pace.rate >= 2.5


async def test_a_poller_for_a_watch_that_comes_after_a_stop_makes_no_call() -> None:
    """A message that was received before is still admitted, and nothing would end a poller that starts then."""
    probe = Fails()
    places = Places(probe)
    await places.admit("eu", count=1)
    async with places.running() as watcher:
        await anyio.sleep(2)
        pollers = watcher.loops.pollers
        pollers.stop()
        pollers.add([Watch(TaskRef("job", ("late",), "us"), "late", EPOCH, EPOCH + 86_400)])
        await anyio.sleep(2)
    assert probe.calls["eu"]
    assert not probe.calls["us"]


async def test_open_circuits_without_a_task_left_do_not_keep_the_watcher_unready() -> None:
    """The last watch of a target was erased, or another replica took it over: no call would ever close its circuits."""
    places = Places(Fails(eu=CredentialsRejected("AccessDenied")))
    await places.admit("default", "eu", count=2)
    async with places.running() as watcher:
        pollers = watcher.loops.pollers
        await anyio.sleep(30)
        pollers.forget("eu/job/t0", "eu-job-t0")
        await anyio.sleep(30)
        assert not watcher.health.is_good("circuit:credentials:eu"), "the other watch still waits for its task"
        pollers.forget("eu/job/t1", "eu-job-t1")
        await anyio.sleep(30)
        assert (len(poller_of(watcher, "describe-jobs:eu").pending), watcher.health.ready()[0]) == (0, True)
        await places.admit("eu", kind="build", count=1)
        pollers.add([watch async for watch in _open_watches(places.store) if watch.key == "eu/build/t0"])
        await anyio.sleep(5)
        assert not watcher.health.is_good("circuit:credentials:eu"), "the next rejected call opens it again"
        assert places.probe.calls["default"] > 100
