"""A kind whose API describes several tasks in one call: one call, one permit, one account; and one outcome for each task."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from random import Random

import anyio
import pytest
from structlog.testing import capture_logs

from tests.runtime.conftest import EPOCH
from tests.runtime.shared_store import SHARDS, SharedStore
from watcher.adapters.aws.batch_reply import read_batch_reply
from watcher.adapters.stores.memory import MemoryStore, MemoryStoreSettings
from watcher.core.polling.cadence import CadenceSettings
from watcher.core.polling.pace import PaceSettings
from watcher.core.polling.pending_entry import PendingEntry
from watcher.core.polling.transitions import WatchSettings
from watcher.errors import BatchFailed, CredentialsRejected, Denied, NotFound, RemoteError, Throttled, Unavailable, Unreadable
from watcher.kinds.catalog import Catalog
from watcher.kinds.kind_files import read_kinds
from watcher.model import Observation, Scope, TaskRef, Watch, shard_of
from watcher.runtime.assembly import assemble
from watcher.runtime.clock import Clock
from watcher.runtime.polling import Poller
from watcher.runtime.service import Adapters, Watcher
from watcher.runtime.settings import Determinism, ServiceSettings
from watcher.simulator.inbox import SimulatedInbox

pytestmark = pytest.mark.looptime(noop_cycles=0)

JOB = """
name: {name}
service: batch
operation: describe_jobs
params: {{jobs: {{field: job, list: true}}}}
task: jobs[0]
id: jobId
status: status
created: createdAt
statuses: {{RUNNING: open, SUCCEEDED: succeeded, FAILED: failed}}
quota: {{name: describe-jobs, title: DescribeJobs}}
retention: 1d
batch: {{operation: describe_jobs, param: jobs, size: 3, items: jobs, id: jobId}}
"""
CLUSTER = JOB.format(name="task").replace("{jobs: {", "{cluster: {field: cluster}, jobs: {")
MANY_JOBS = JOB.format(name="many").replace("size: 3", "size: 100")
LISTED = JOB.format(name="listed").replace("id: jobId}", "id: jobId, failures: failures, failure_id: jobId, failure_code: code}")
KINDS = {f"{name}.yaml": JOB.format(name=name) for name in ("job", "other")}
CATALOG = Catalog(read_kinds(KINDS | {"task.yaml": CLUSTER, "many.yaml": MANY_JOBS, "listed.yaml": LISTED}))

Outcome = Observation | RemoteError


def running(ref: TaskRef) -> Outcome:
    return Observation("RUNNING", EPOCH + anyio.current_time(), None, EPOCH)


class BatchProbe:
    """Lists the tasks of each call, and answers with `outcome`, after 0.1 s. Raises `failure` if there is one."""

    def __init__(self, outcome: Callable[[TaskRef], Outcome] = running) -> None:
        self.calls: list[list[TaskRef]] = []
        self.outcome = outcome
        self.failure: RemoteError | None = None

    async def open(self) -> None: ...
    async def close(self) -> None: ...
    async def refresh(self, target: str) -> None: ...
    async def check(self) -> str:
        return ""

    async def observe(self, refs: Sequence[TaskRef]) -> Sequence[Outcome]:
        self.calls.append(list(refs))
        await anyio.sleep(0.1)
        if self.failure is not None:
            raise self.failure
        return [self.outcome(ref) for ref in refs]

    @property
    def sizes(self) -> list[int]:
        return [len(call) for call in self.calls]


def job(name: str, kind: str = "job", target: str = "default") -> Watch:
    return Watch(TaskRef(kind, (name,), target), f"watch-of-{name}", EPOCH, EPOCH + 86_400)


class Jobs:
    """A watcher over these open watches, at one call a second unless `rate` says more."""

    def __init__(self, probe: BatchProbe, *watches: Watch, rate: float = 1.0, store: MemoryStore | None = None) -> None:
        self.probe, self.watches, self.inbox = probe, watches, SimulatedInbox()
        self.store = store or MemoryStore(MemoryStoreSettings())
        self.settings = ServiceSettings(
            pace=PaceSettings(rate=rate),
            cadence=CadenceSettings(type="fixed", every=60),
            catalog=CATALOG,
            targets={"eu": Scope("eu-west-1")},
        )

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Watcher]:
        await self.store.admit(self.watches)
        clock = Clock(lambda: EPOCH + anyio.current_time())
        adapters = Adapters([], self.probe, self.store, [self.inbox])
        async with (
            assemble(adapters, self.settings, determinism=Determinism(clock, Random(1))) as watcher,
            anyio.create_task_group() as tasks,
        ):
            tasks.start_soon(watcher.run)
            yield watcher
            watcher.stop()


def poller_of(watcher: Watcher) -> Poller:
    (poller,) = watcher.loops.pollers
    return poller


def entry_of(watcher: Watcher, name: str) -> PendingEntry:
    entry = poller_of(watcher).pending.get(f"job/{name}")
    assert entry is not None
    return entry


def samples(watcher: Watcher, name: str, **labels: str) -> float:
    found = [
        sample.value
        for family in watcher.metrics.registry.collect()
        for sample in family.samples
        if sample.name == name and {"kind": "job", **labels}.items() <= sample.labels.items()
    ]
    return sum(found)


async def test_one_call_polls_as_many_tasks_as_the_kind_allows() -> None:
    """Seven tasks, three in a call: three calls under three permits, a second apart. The last one has room for two others."""
    probe = BatchProbe()
    async with Jobs(probe, *(job(f"j{n}") for n in range(7))).running() as watcher:
        await anyio.sleep(0.5)
        assert probe.sizes == [3]
        await anyio.sleep(1)
        assert probe.sizes == [3, 3]
        await anyio.sleep(1)
        assert probe.sizes == [3, 3, 3]
        assert poller_of(watcher).policy.pace.accepted == 3
    assert {ref.params[0] for call in probe.calls[:2] for ref in call} == {f"j{n}" for n in range(6)}
    assert [ref.params[0] for ref in probe.calls[2]] == ["j6", "j0", "j1"]


async def test_the_tasks_of_a_call_are_of_one_kind_and_target() -> None:
    """Tasks of two kinds that share a quota, and of two targets, are polled in calls of their own."""
    probe = BatchProbe()
    watches = [job(f"{kind}-{n}", kind) for n in range(2) for kind in ("job", "other")] + [job(f"eu-{n}", target="eu") for n in range(2)]
    async with Jobs(probe, *watches, rate=10.0).running():
        await anyio.sleep(2)
    assert sorted(probe.sizes) == [2, 2, 2]
    assert all(len({(ref.kind, ref.target) for ref in call}) == 1 for call in probe.calls)


async def test_a_call_is_accounted_for_once() -> None:
    """One duration and one permit for the call; one outcome and one event for each task."""
    probe = BatchProbe()
    jobs = Jobs(probe, job("a"), job("b"), job("c"))
    async with jobs.running() as watcher:
        await anyio.sleep(5)
        assert probe.sizes == [3]
        assert samples(watcher, "watcher_poll_duration_seconds_count") == 1
        assert poller_of(watcher).policy.pace.accepted == 1
        assert samples(watcher, "watcher_polls_total", outcome="changed") == 3
        assert samples(watcher, "watcher_events_total", type="watcher.task.transition.v1") == 3
        assert poller_of(watcher).pending.in_flight == 0
    assert sorted(event.key for event in jobs.inbox.events) == ["job/a", "job/b", "job/c"]


async def test_each_task_of_a_call_gets_its_own_outcome() -> None:
    """In one reply, a task that runs, one that is not found, and one that cannot be read: each outcome is applied once."""
    errors = {"missing": NotFound("404"), "garbled": Unreadable("shape")}
    probe = BatchProbe(lambda ref: errors.get(ref.params[0]) or running(ref))
    jobs = Jobs(probe, job("fine"), job("missing"), job("garbled"))
    async with jobs.running() as watcher:
        await anyio.sleep(0.5)
        assert probe.sizes == [3]
        assert {name: samples(watcher, "watcher_polls_total", outcome=name) for name in ("changed", "not_found", "unreadable")} == {
            "changed": 1,
            "not_found": 1,
            "unreadable": 1,
        }
        assert (entry_of(watcher, "fine").reason, entry_of(watcher, "fine").watch.status) == ("cadence", "RUNNING")
        assert entry_of(watcher, "missing").watch.failing_since is not None
        assert entry_of(watcher, "garbled").watch.failures == 1
        assert [entry_of(watcher, name).watch.polls for name in ("fine", "missing", "garbled")] == [1, 1, 1]
        assert poller_of(watcher).policy.pace.accepted == 1
        assert not poller_of(watcher).policy.circuits.open
    assert [event.key for event in jobs.inbox.events] == ["job/fine"]


async def test_a_task_that_is_throttled_in_the_reply_of_a_call_backs_off() -> None:
    """The call was answered, so the pace does not slow down, and the task must not be polled with each call that the pace allows."""
    probe = BatchProbe(lambda ref: Throttled("TOO_MANY_REQUESTS") if ref.params[0] == "limited" else running(ref))
    async with Jobs(probe, job("limited"), job("fine"), rate=10.0).running() as watcher:
        await anyio.sleep(55)
        assert 3 <= len(probe.calls) < 30
        probe.outcome = running
        await anyio.sleep(60)
        assert entry_of(watcher, "limited").watch.status == "RUNNING"


async def test_a_throttled_call_puts_all_its_tasks_back() -> None:
    """One throttle for the pace, no failure for a task; the same tasks are due at once and polled with the next permit."""
    probe = BatchProbe()
    probe.failure = Throttled("429")
    async with Jobs(probe, job("a"), job("b"), job("c")).running() as watcher:
        await anyio.sleep(0.5)
        pace = poller_of(watcher).policy.pace
        assert (probe.sizes, pace.throttles, pace.accepted) == ([3], 1, 0)
        assert [entry_of(watcher, name).reason for name in "abc"] == ["throttled"] * 3
        assert [entry_of(watcher, name).watch.failures for name in "abc"] == [0, 0, 0]
        assert samples(watcher, "watcher_polls_total", outcome="throttled") == 3
        probe.failure = None
        await anyio.sleep(10)
        assert probe.sizes == [3, 3]
        assert samples(watcher, "watcher_polls_total", outcome="changed") == 3


async def test_an_outage_of_a_call_is_one_failed_call() -> None:
    """Each of its tasks backs off; the circuits hear of one call, not of three."""
    probe = BatchProbe()
    probe.failure = Unavailable("503")
    async with Jobs(probe, job("a"), job("b"), job("c")).running() as watcher:
        await anyio.sleep(0.15)
        assert [entry_of(watcher, name).watch.failures for name in "abc"] == [1, 1, 1]
        assert poller_of(watcher).policy.circuits._down_calls == 1


async def test_rejected_credentials_of_a_call_are_refreshed_once() -> None:
    """However many tasks the call was about, one refresh; all of them are polled again with the new credentials."""
    refreshes = []

    class Expiring(BatchProbe):
        async def refresh(self, target: str) -> None:
            refreshes.append(len(self.calls))
            self.failure = None

    probe = Expiring()
    probe.failure = CredentialsRejected("ExpiredToken", expired=True)
    async with Jobs(probe, job("a"), job("b"), job("c")).running() as watcher:
        await anyio.sleep(60)
        assert refreshes == [1]
        assert samples(watcher, "watcher_polls_total", outcome="changed") == 3


async def test_an_ended_task_leaves_the_others_of_its_call_where_they_are() -> None:
    """A task that has ended is polled no more; the other two of its call are polled again, together."""
    ended = Observation("SUCCEEDED", EPOCH + 1, None, EPOCH)
    probe = BatchProbe(lambda ref: ended if ref.params[0] == "a" else running(ref))
    jobs = Jobs(probe, job("a"), job("b"), job("c"))
    async with jobs.running() as watcher:
        await anyio.sleep(90)
        assert probe.sizes == [3, 2]
        assert len(watcher.loops.pollers) == 2
    assert [event.key for event in jobs.inbox.events if event.terminal] == ["job/a"]


async def test_of_a_call_about_tasks_of_several_shards_only_the_fenced_one_is_not_committed() -> None:
    """Another replica took one shard during the call: its task is dropped, the changes of the others are committed."""
    names = [next(f"j{n}" for n in range(100) if shard_of(f"job/j{n}", SHARDS) == shard) for shard in range(3)]
    store = SharedStore()
    store.renew_s = 10_000.0
    jobs = Jobs(BatchProbe(), *(job(name) for name in names), store=store)
    async with jobs.running() as watcher:
        await anyio.sleep(0.05)
        store.take_over(1)
        await anyio.sleep(5)
        assert jobs.probe.sizes == [3]
        assert len(watcher.loops.pollers) == 2
        assert set(watcher.loops.leases.held) == {0, 2, 3}
    assert sorted(event.key for event in jobs.inbox.events) == sorted(f"job/{name}" for name in (names[0], names[2]))


async def test_a_call_is_about_tasks_of_one_cluster() -> None:
    """The params but the last one are the same for all tasks of a call, however many are due."""
    probe = BatchProbe()
    refs = [TaskRef("task", (f"cluster-{n % 3}", f"t{n}")) for n in range(9)]
    async with Jobs(probe, *(Watch(ref, ref.key, EPOCH, EPOCH + 86_400) for ref in refs), rate=10.0).running():
        await anyio.sleep(5)
    assert sorted(probe.sizes) == [3, 3, 3]
    assert [len({ref.params[0] for ref in call}) for call in probe.calls] == [1, 1, 1]
    assert {ref for call in probe.calls for ref in call} == set(refs)


class OneBadTask(BatchProbe):
    """Every call about several tasks fails while one of them is `bad`, whose own calls are denied."""

    async def observe(self, refs: Sequence[TaskRef]) -> Sequence[Outcome]:
        bad = any(ref.params[0] == "bad" for ref in refs)
        self.failure = None
        if bad:
            self.failure = Denied("AccessDenied")
            self.failure = BatchFailed(self.failure) if len(refs) > 1 else self.failure
            self.failure.alone = True
        return await super().observe(refs)


async def test_one_bad_task_fails_one_batch_only() -> None:
    """Each task of the failed call is polled alone, which finds the bad one; the others share calls again, and it stays alone."""
    probe = OneBadTask()
    async with Jobs(probe, job("a"), job("bad"), job("c"), rate=10.0).running() as watcher:
        await anyio.sleep(2)
        assert probe.sizes == [3, 1, 1, 1]
        assert samples(watcher, "watcher_polls_total", outcome="batch") == 3
        assert samples(watcher, "watcher_polls_total", outcome="changed") == 2
        assert (entry_of(watcher, "bad").watch.failures, entry_of(watcher, "bad").alone) == (1, True)
        assert [(entry_of(watcher, name).watch.failures, entry_of(watcher, name).alone) for name in "ac"] == [(0, False)] * 2
        await anyio.sleep(70)
        assert [call for call in probe.calls[4:] if len(call) > 1 and any(ref.params[0] == "bad" for ref in call)] == []
        assert 2 in probe.sizes[4:]
        assert len(watcher.loops.pollers) == 2, "the denied task ended after its tries, and no other did"


class OddInBatches(BatchProbe):
    """A reply about several tasks lists that of `odd` as failed, with a code that is not known. A call about it alone has `outcome`."""

    async def observe(self, refs: Sequence[TaskRef]) -> Sequence[Outcome]:
        alone = await super().observe(refs)
        kind, ids = CATALOG["listed"], [ref.params[0] for ref in refs]
        if len(refs) == 1 or kind.batch is None:
            return alone
        found = [{"jobId": each, "status": "RUNNING", "createdAt": int(EPOCH * 1000)} for each in ids if each != "odd"]
        failed = [{"jobId": each, "code": "ODD"} for each in ids if each == "odd"]
        return read_batch_reply(kind, kind.batch, refs, {"jobs": found, "failures": failed}, EPOCH + anyio.current_time())


ODD, *OTHERS = (job(name, "listed") for name in ("odd", "a", "b"))


def odd_entry(watcher: Watcher) -> PendingEntry:
    entry = poller_of(watcher).pending.get(ODD.key)
    assert entry is not None
    return entry


async def test_a_task_that_only_calls_about_several_cannot_read_costs_one_more_call_a_round() -> None:
    """It is polled alone at once, and then with the others again: at most two calls in each minute, and its status is known."""
    probe = OddInBatches()
    async with Jobs(probe, ODD, *OTHERS, rate=10.0).running() as watcher:
        await anyio.sleep(5)
        assert probe.sizes == [3, 1]
        assert odd_entry(watcher).watch.status == "RUNNING"
        await anyio.sleep(600)
        assert 10 <= len(probe.calls) <= 2 * 11
        assert {sum(watch.ref in call for call in probe.calls) for watch in OTHERS} <= {10, 11}
        assert not poller_of(watcher).policy.circuits.open


async def test_a_task_that_no_call_can_read_is_polled_rarely() -> None:
    """After five tries of its own it is polled every ten minutes. It is alone from the first of them on, so it costs no second call."""
    error = Unreadable("garbage")
    error.alone = True
    probe = OddInBatches(lambda ref: error if ref == ODD.ref else running(ref))
    async with Jobs(probe, ODD, *OTHERS, rate=10.0).running() as watcher:
        await anyio.sleep(50)
        assert [len(call) for call in probe.calls if ODD.ref in call] == [3, 1, 1, 1, 1, 1]
        await anyio.sleep(3600)
        assert 6 + 5 <= sum(ODD.ref in call for call in probe.calls) <= 6 + 6
        assert odd_entry(watcher).alone
        assert not poller_of(watcher).policy.circuits.open


class Limited(BatchProbe):
    """Fails each call about more than `most` tasks: the reply is too large, or does not come within 15 s. No task ends before `end_s`."""

    def __init__(self, most: int, *, late: bool = False, end_s: float = math.inf) -> None:
        super().__init__(self._outcome)
        self.most, self.late, self.end_s = most, late, end_s
        self.giants: frozenset[str] = frozenset()
        """Tasks whose description alone is too large."""

    def _outcome(self, ref: TaskRef) -> Outcome:
        ended = anyio.current_time() >= self.end_s
        return Observation("SUCCEEDED" if ended else "RUNNING", EPOCH + anyio.current_time(), None, EPOCH)

    async def observe(self, refs: Sequence[TaskRef]) -> Sequence[Outcome]:
        outcomes = await super().observe(refs)
        too_many, giant = len(refs) > self.most, any(ref.params[0] in self.giants for ref in refs)
        if not too_many and not giant:
            return outcomes
        if self.late:
            await anyio.sleep(14.9)
            raise Unavailable.after_deadline()
        error: RemoteError = Unreadable("200", "more than 1 MiB")
        error.oversized = True
        error = BatchFailed(error) if len(refs) > 1 else error
        error.alone = len(refs) == 1
        raise error

    def failed(self) -> int:
        """The calls that failed for their number of tasks."""
        return sum(size > self.most for size in self.sizes)


MANY = [job(f"j{n}", "many") for n in range(100)]


def ended(jobs: Jobs) -> dict[str, str | None]:
    return {event.key: event.to for event in jobs.inbox.events if event.terminal}


async def test_tasks_whose_replies_are_too_large_share_smaller_calls() -> None:
    """Of a hundred tasks, replies about more than 25 are too large: a round costs about four calls, and no watch ends for it."""
    probe = Limited(25)
    async with Jobs(probe, *MANY, rate=5.0).running() as watcher:
        await anyio.sleep(10)
        assert probe.sizes == [100, 50, 25, 25, 25, 25]
        for most in (6, 6, 6, 5, 5):
            before = len(probe.calls)
            await anyio.sleep(60)
            assert 4 <= len(probe.calls) - before <= most
        await anyio.sleep(1800)
        assert len(probe.calls) <= 6 + 36 * 5
        assert probe.failed() <= 10
        assert len(watcher.loops.pollers) == 100
        assert not poller_of(watcher).policy.circuits.open
        assert samples(watcher, "watcher_batch_limit", kind="many") == poller_of(watcher).policy.batch_sizes.limit(CATALOG["many"])


async def test_one_task_whose_reply_is_too_large_slows_down_no_other_for_long() -> None:
    """The calls get smaller until it is polled alone, where it stays. Then the others share calls of the full size again."""
    probe = Limited(100)
    probe.giants = frozenset({"j77"})
    async with Jobs(probe, *MANY, rate=10.0).running() as watcher:
        await anyio.sleep(55)
        assert len(probe.calls) <= 25
        assert poller_of(watcher).pending.get("many/j77").alone  # type: ignore[union-attr]
        before = len(probe.calls)
        await anyio.sleep(600)
        others = [call for call in probe.calls[before:] if call != [TaskRef("many", ("j77",))]]
        assert max(map(len, others)) == 99
        assert len(others) <= 12
        assert len(watcher.loops.pollers) == 100


async def test_a_service_that_is_too_slow_for_many_tasks_is_watched_to_the_end() -> None:
    """Calls about more than ten tasks time out: smaller ones follow, and all hundred watches end with the status of their task."""
    probe = Limited(10, late=True, end_s=900)
    jobs = Jobs(probe, *MANY, rate=10.0)
    async with jobs.running() as watcher:
        await anyio.sleep(300)
        entries = [poller_of(watcher).pending.get(watch.key) for watch in MANY]
        assert {entry.watch.status for entry in entries if entry is not None} == {"RUNNING"}
        failed, calls = probe.failed(), len(probe.calls)
        await anyio.sleep(600)
        assert probe.failed() - failed <= (len(probe.calls) - calls) / 10
        await anyio.sleep(300)
        assert len(watcher.loops.pollers) == 0
    assert ended(jobs) == {watch.key: "SUCCEEDED" for watch in MANY}


async def test_the_log_says_that_calls_are_smaller() -> None:
    """Each time when the limit is lowered, and when it is that of the kind again. Trials of a larger limit are not logged."""
    probe = Limited(25)
    with capture_logs() as lines:
        async with Jobs(probe, *MANY, rate=10.0).running():
            await anyio.sleep(600)
            probe.most = 100
            await anyio.sleep(3600)
    facts = [(line["event"], line["limit"]) for line in lines if line["event"].startswith("batch_limit")]
    assert facts == [("batch_limit_lowered", 50), ("batch_limit_lowered", 25), ("batch_limit_restored", 100)]


@pytest.mark.parametrize("seed", range(8))
async def test_each_task_gets_its_own_outcomes(seed: int) -> None:
    """Whatever each reply says about each of its tasks, and however calls fail: the changes of each task are emitted, in its order."""
    rng, told = Random(seed), dict[str, list[str]]()

    def outcome(ref: TaskRef) -> Outcome:
        if rng.random() < 0.3:
            return rng.choice([Unreadable("shape"), NotFound("404"), Unavailable("503")])
        ended = rng.random() < 0.2
        status = rng.choice(["SUCCEEDED", "FAILED"]) if ended else "RUNNING"
        if told.setdefault(ref.key, [])[-1:] != [status]:
            told[ref.key].append(status)
        return Observation(status, EPOCH + anyio.current_time(), None, EPOCH)

    class Faulty(BatchProbe):
        async def observe(self, refs: Sequence[TaskRef]) -> Sequence[Outcome]:
            self.failure = rng.choice([None, None, None, Throttled("429"), Unavailable("503"), BatchFailed(Unreadable("large"))])
            if len(refs) == 1 and isinstance(self.failure, BatchFailed):
                self.failure = None
            return await super().observe(refs)

    probe = Faulty(outcome)
    jobs = Jobs(probe, *(job(f"j{n}") for n in range(10)), rate=20.0)
    jobs.settings = replace(jobs.settings, cadence=CadenceSettings(), watch=WatchSettings(not_found_grace=3600))
    async with jobs.running() as watcher:
        for _ in range(600):
            await anyio.sleep(2)
            if len(watcher.loops.pollers) == 0:
                break
        assert len(watcher.loops.pollers) == 0
        assert poller_of(watcher).pending.calls_in_flight == 0
    found: dict[str, list[str | None]] = {}
    for event in jobs.inbox.events:
        found.setdefault(event.key, []).append(event.to)
    assert found == told
    assert max(probe.sizes) == 3
