"""The store that the loops use: what is temporary is retried with the component `store` unhealthy, all else passes through."""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any

import anyio
import pytest

from tests.contracts.store_exam.facts import a_dead_letter, a_watch, an_event, moved
from watcher.adapters.stores.memory import MemoryStore, MemoryStoreSettings
from watcher.errors import Fenced, StoreError, StoreRefused, StoreUnavailable
from watcher.kinds.catalog import builtin_catalog
from watcher.model import NO_TOKENS, Lease, TaskTokens, Watch
from watcher.observe.metrics import Metrics
from watcher.ports import Store
from watcher.query import DeadLetterQuery, EventQuery, Selection, TaskQuery
from watcher.runtime.clock import Clock
from watcher.runtime.health import Health
from watcher.runtime.instruments import Instruments
from watcher.runtime.retrying_store import RetryingStore

pytestmark = pytest.mark.looptime(noop_cycles=0)

LEASE = Lease(0, 1)
CALLS: dict[str, tuple[Any, ...]] = {
    "claim": (),
    "release": ([LEASE],),
    "admit": ([a_watch("new")],),
    "commit": ([moved(a_watch())], {0: LEASE}),
    "add_dead_letters": ([a_dead_letter()],),
    "prune": (0.0,),
    "save_state": ("name", "text"),
    "load_state": ("name",),
    "read_outbox": ("bus", 0, 0, 10),
    "settle": ("bus", [], [], {0: LEASE}),
    "count_backlog": (0,),
    "task": (a_watch().key,),
    "tasks": (TaskQuery(),),
    "count_open": (),
    "task_events": (a_watch().key,),
    "events": (EventQuery(),),
    "undelivered": (a_watch().key,),
    "backlog": (),
    "dead_letters": (DeadLetterQuery(),),
    "retry": (["d1"],),
    "purge": (["d1"],),
    "cancel": ([a_watch().key],),
    "forget": (Selection(key=a_watch().key),),
    "requests": (),
    "count_dead_letters": (),
    "replicas": (),
    "announce": ([a_watch().key],),
    "load_states": ("name",),
    "identity": (),
    "positions": (),
    "count_by_state": (0.0,),
    "task_tokens": ([a_watch().key],),
    "begin_answers": ({a_watch().key: ["token"]},),
    "drop_tokens": ({a_watch().key: ["token"]},),
    "late_tokens": ([0], 10),
    "open_tokens": ([0], None, 10),
}
"""Each call of a store that is retried, with arguments."""
NOT_RETRIED = {"open", "attach", "close", "check", "load", "arrivals", "wait"}


class Failing:
    """A memory store whose calls fail with `error` for the next `times` calls, and then work."""

    def __init__(self) -> None:
        self.memory = MemoryStore(MemoryStoreSettings())
        self.error: StoreError = StoreUnavailable("disk full")
        self.times = 0
        self.calls: list[str] = []

    def __getattr__(self, name: str) -> Any:
        attribute = getattr(self.memory, name)
        if not inspect.iscoroutinefunction(attribute):
            return attribute

        async def call(*args: Any, **options: Any) -> Any:
            self.calls.append(name)
            if self.times:
                self.times -= 1
                raise self.error
            return await attribute(*args, **options)

        return call


@pytest.fixture
async def failing() -> Failing:
    failing = Failing()
    await failing.memory.open(["bus"])
    await failing.memory.admit([a_watch()])
    await failing.memory.claim()
    return failing


@pytest.fixture
def health() -> Health:
    return Health(anyio.current_time)


@pytest.fixture
def store(failing: Failing, health: Health) -> RetryingStore:
    instruments = Instruments(Clock(), health, Metrics(builtin_catalog()))
    return RetryingStore(failing, instruments)  # type: ignore[arg-type]  # it has every attribute of its memory store


def protocol_calls() -> set[str]:
    """The names of all methods of the store port."""
    return {
        name for base in Store.__mro__ for name, member in vars(base).items() if inspect.isfunction(member) and not name.startswith("_")
    }


def test_every_call_of_the_port_is_covered() -> None:
    """A call that is added to the port gets a test here."""
    assert protocol_calls() == CALLS.keys() | NOT_RETRIED


@pytest.mark.parametrize("name", CALLS)
async def test_a_call_is_retried_until_the_store_answers(name: str, store: RetryingStore, failing: Failing, health: Health) -> None:
    """Three failures cost waits of at most 5 s each; in the meantime the store is unhealthy; the result is that of the last attempt."""
    failing.times = 3
    expected = await getattr(await twin(failing), name)(*CALLS[name])
    states: list[bool] = []

    async def watch_health() -> None:
        while True:
            await anyio.sleep(0.001)
            states.append(health.is_good("store"))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(watch_health)
        assert await getattr(store, name)(*CALLS[name]) == expected
        tasks.cancel_scope.cancel()
    assert failing.calls == [name] * 4
    assert anyio.current_time() < 15
    assert not all(states)
    assert health.is_good("store")


async def twin(failing: Failing) -> MemoryStore:
    """A store with the same content, to know what a call returns."""
    other = MemoryStore(MemoryStoreSettings())
    other.content.state = {name: dict(texts) for name, texts in failing.memory.content.state.items()}
    await other.open(["bus"])
    await other.admit([a_watch()])
    await other.claim()
    return other


@pytest.mark.parametrize("error", [Fenced([0]), StoreRefused("corrupt")], ids=["Fenced", "StoreRefused"])
@pytest.mark.parametrize("name", CALLS)
async def test_what_no_retry_can_help_passes_through(name: str, error: StoreError, store: RetryingStore, failing: Failing) -> None:
    """One attempt, no wait, and the error of the store itself."""
    failing.error, failing.times = error, 1
    with pytest.raises(type(error)) as raised:
        await getattr(store, name)(*CALLS[name])
    assert raised.value is error
    assert failing.calls == [name]
    assert anyio.current_time() == 0


@pytest.mark.parametrize("error", [Fenced([0]), StoreRefused("corrupt")], ids=["Fenced", "StoreRefused"])
async def test_an_error_that_follows_a_failure_passes_through(error: StoreError, store: RetryingStore, failing: Failing) -> None:
    """A write that was retried and then rejected is not retried any more."""
    attempts = iter([StoreUnavailable("busy"), error])

    async def commit(*args: Any) -> None:
        raise next(attempts)

    failing.commit = commit  # type: ignore[attr-defined]
    with pytest.raises(type(error)) as raised:
        await store.commit(*CALLS["commit"])
    assert raised.value is error


async def test_opening_is_not_retried(store: RetryingStore, failing: Failing) -> None:
    """A process that cannot open its store ends with the reason."""
    failing.times = 1
    with pytest.raises(StoreUnavailable):
        await store.open(["bus"])
    failing.times = 1
    with pytest.raises(StoreUnavailable):
        await store.check()
    assert failing.calls == ["open", "check"]


async def test_a_read_that_works_does_not_hide_a_write_that_fails(store: RetryingStore, failing: Failing, health: Health) -> None:
    """On a full disk every read still works: the store stays unhealthy until the write succeeds."""
    full = True

    async def admit(watches: Sequence[Watch], task_tokens: TaskTokens = NO_TOKENS) -> Sequence[Watch]:
        if full:
            raise StoreUnavailable("disk full")
        return watches

    failing.admit = admit  # type: ignore[attr-defined]
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(store.admit, [a_watch()])
        await anyio.sleep(20)
        assert await store.task(a_watch().key) == a_watch()
        condition = health.ready()[1]["store"]
        assert (condition.ok, condition.reason) == (False, "disk full")
        assert condition.hint
        full = False
    assert health.is_good("store")


async def test_a_load_that_fails_starts_again(store: RetryingStore, failing: Failing, health: Health) -> None:
    """From its first piece, so a watch may come more than once, and none is missing."""
    pieces = [[a_watch("a")], [a_watch("b")], [a_watch("c")]]
    failures = iter([1, 2])
    health_between: list[bool] = []

    async def load(lease: Lease) -> AsyncIterator[Sequence[Watch]]:
        health_between.append(health.is_good("store"))
        last = next(failures, len(pieces))
        for piece in pieces[:last]:
            yield piece
        if last < len(pieces):
            raise StoreUnavailable("connection lost")

    failing.memory.load = load  # type: ignore[method-assign]
    loaded = [watch.ref.params[1] async for watches in store.load(LEASE) for watch in watches]
    assert loaded == ["a", "a", "b", "a", "b", "c"]
    assert health_between == [True, False, False]
    assert 0 < anyio.current_time() < 10
    assert health.is_good("store")


@pytest.mark.parametrize("error", [Fenced([0]), StoreRefused("corrupt")], ids=["Fenced", "StoreRefused"])
async def test_a_load_passes_through_what_no_retry_can_help(error: StoreError, store: RetryingStore, failing: Failing) -> None:
    """After the pieces that were read before it."""

    async def load(lease: Lease) -> AsyncIterator[Sequence[Watch]]:
        yield [a_watch("a")]
        raise error

    failing.memory.load = load  # type: ignore[method-assign]
    pieces = store.load(LEASE)
    assert await anext(pieces) == [a_watch("a")]
    with pytest.raises(type(error)):
        await anext(pieces)


async def test_a_cancelled_call_stops_retrying(store: RetryingStore, failing: Failing) -> None:
    """A stop does not wait for a disk that stays full."""
    failing.times = 10**6
    with anyio.move_on_after(60) as scope:
        await store.admit([a_watch()])
    assert scope.cancelled_caught
    attempts = len(failing.calls)
    await anyio.sleep(60)
    assert len(failing.calls) == attempts


async def test_the_waits_grow_up_to_five_seconds(store: RetryingStore, failing: Failing) -> None:
    """An hour of failures costs few attempts: full jitter around a few seconds."""
    failing.times = 10**6
    with anyio.move_on_after(3600):
        await store.save_state("name", "text")
    assert 3600 / 5 <= len(failing.calls) <= 3600


async def test_the_properties_are_those_of_the_store(store: RetryingStore) -> None:
    """Whether it is durable, how many shards it has, and how often leases are renewed."""
    assert (store.durable, store.shards, store.renew_s) == (False, 1, None)


Call = Callable[..., Awaitable[Any]]


async def test_a_commit_that_took_effect_before_its_failure_is_written_once(store: RetryingStore, failing: Failing) -> None:
    """A connection that breaks after the commit makes the retry write the same event again: the store keeps one."""
    commit: Call = failing.memory.commit
    outcomes = iter([True, False])

    async def unreliable(*args: Any) -> Any:
        result = await commit(*args)
        if next(outcomes):
            raise StoreUnavailable("connection lost")
        return result

    failing.memory.commit = unreliable  # type: ignore[method-assign]
    assert list(await store.commit(*CALLS["commit"])) == []
    expected = an_event(moved(a_watch()).watch, "IN_PROGRESS", 1001.0)
    assert [event.id for event in await store.read_outbox("bus", 0, 0, 10)] == [expected.id]
