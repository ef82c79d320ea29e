"""A store whose calls are retried until they succeed. The runtime holds this one, so no caller repeats the retry logic.

Retries only `StoreUnavailable`. `StoreRefused` and `Fenced` pass through: the first ends the process, the second is for
the caller. While a call fails, or does not return, the component `store` is unhealthy.
"""

# ruff: noqa: D102 - watcher/ports/ documents each method

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from functools import partial
from typing import TypeVar

import anyio
from tenacity import wait_random_exponential

from watcher.errors import Fenced, StoreUnavailable
from watcher.model import NO_TOKENS, Backlog, Change, Claim, DeadLetter, Event, Lease, Leftover, Pruned, Replica, Report, TaskTokens, Watch
from watcher.ports import Requests, Signals, Store
from watcher.query import DeadLetterQuery, EventQuery, OpenCount, Page, Selection, TaskQuery
from watcher.runtime.health import Health
from watcher.runtime.instruments import Instruments
from watcher.runtime.retrying import until_success, wait_after

T = TypeVar("T")

HINT = "fix what the reason says, such as a full disk or a server that cannot be reached; no input is accepted in the meantime"


class RetryingStore:
    """Implements `ports.Store` over another store. Opening and closing are not retried: a start reports what is wrong."""

    def __init__(self, store: Store, instruments: Instruments) -> None:
        self.on_dead_letters: Callable[[Sequence[DeadLetter]], None] = lambda dead_letters: None
        """Called with dead letters that were stored."""
        self._store = store
        self._health = instruments.health
        self._clock = instruments.clock
        self._pending = instruments.writes

    @property
    def durable(self) -> bool:
        return self._store.durable

    @property
    def shards(self) -> int:
        return self._store.shards

    @property
    def renew_s(self) -> float | None:
        return self._store.renew_s

    async def open(self, sinks: Sequence[str], drop: Collection[str] = ()) -> Mapping[str, Leftover]:
        return await self._store.open(sinks, drop)

    async def attach(self) -> None:
        await self._store.attach()

    async def close(self) -> None:
        await self._store.close()

    async def check(self) -> str:
        return await self._store.check()

    async def claim(self, report: Report | None = None) -> Claim:
        return await self._retry(lambda: self._store.claim(report))

    async def release(self, leases: Sequence[Lease], *, leaving: bool = False) -> None:
        await self._retry(lambda: self._store.release(leases, leaving=leaving))

    async def wait(self) -> Signals:
        """Not retried: it may wait for hours, so its success could not report that the store works again."""
        return await self._store.wait()

    def load(self, lease: Lease) -> AsyncIterator[Sequence[Watch]]:
        return self._read(lambda: self._store.load(lease))

    def arrivals(self, leases: Sequence[Lease]) -> AsyncIterator[Sequence[Watch]]:
        return self._read(lambda: self._store.arrivals(leases))

    async def _read(self, read: Callable[[], AsyncIterator[Sequence[Watch]]]) -> AsyncIterator[Sequence[Watch]]:
        """Starts again from the first piece after a failure, so a watch may come more than once."""
        failures = 0
        while True:
            try:
                async for watches in read():
                    self._succeeded(after_failure=failures > 0)
                    yield watches
            except StoreUnavailable as error:
                failures += 1
                _report(self._health, error)
                await anyio.sleep(wait_after(failures, _backoff))
            else:
                self._succeeded(after_failure=failures > 0)
                return

    async def admit(self, watches: Sequence[Watch], task_tokens: TaskTokens = NO_TOKENS) -> Sequence[Watch]:
        return await self._retry(lambda: self._store.admit(watches, task_tokens))

    async def announce(self, keys: Sequence[str]) -> Collection[str]:
        return await self._retry(lambda: self._store.announce(keys))

    async def commit(self, changes: Sequence[Change], leases: Mapping[int, Lease]) -> Collection[str]:
        return await self._retry(lambda: self._store.commit(changes, leases))

    async def add_dead_letters(self, dead_letters: Sequence[DeadLetter]) -> None:
        await self._retry(lambda: self._store.add_dead_letters(dead_letters))
        self.on_dead_letters(dead_letters)

    async def prune(self, before: float, events_before: float | None = None) -> Pruned:
        return await self._until_stored(lambda: self._store.prune(before, events_before))  # many writes, which take long together

    async def save_state(self, name: str, text: str, *, own: bool = False) -> None:
        await self._retry(lambda: self._store.save_state(name, text, own=own))

    async def load_state(self, name: str) -> str | None:
        return await self._retry(lambda: self._store.load_state(name))

    async def read_outbox(self, sink: str, shard: int, after: int, limit: int) -> Sequence[Event]:
        return await self._retry(lambda: self._store.read_outbox(sink, shard, after, limit))

    async def settle(self, sink: str, delivered: Sequence[Event], dead_letters: Sequence[DeadLetter], leases: Mapping[int, Lease]) -> None:
        await self._retry(lambda: self._store.settle(sink, delivered, dead_letters, leases))
        self.on_dead_letters(dead_letters)

    async def count_backlog(self, shard: int) -> Mapping[str, Backlog]:
        return await self._retry(lambda: self._store.count_backlog(shard))

    async def task_tokens(self, keys: Sequence[str]) -> TaskTokens:
        return await self._retry(lambda: self._store.task_tokens(keys))

    async def begin_answers(self, tokens: TaskTokens) -> TaskTokens:
        return await self._retry(lambda: self._store.begin_answers(tokens))

    async def drop_tokens(self, tokens: TaskTokens) -> None:
        await self._retry(lambda: self._store.drop_tokens(tokens))

    async def late_tokens(self, shards: Collection[int], limit: int) -> Sequence[str]:
        return await self._retry(lambda: self._store.late_tokens(shards, limit))

    async def open_tokens(self, shards: Collection[int], after: str | None, limit: int) -> Page[tuple[str, str]]:
        return await self._retry(lambda: self._store.open_tokens(shards, after, limit))

    async def identity(self) -> str:
        return await self._retry(self._store.identity)

    async def task(self, key: str) -> Watch | None:
        return await self._retry(lambda: self._store.task(key))

    async def tasks(self, query: TaskQuery) -> Page[Watch]:
        return await self._retry(lambda: self._store.tasks(query))

    async def replicas(self) -> Sequence[Replica]:
        return await self._retry(self._store.replicas)

    async def count_open(self, kinds: Collection[str] | None = None, targets: Collection[str] | None = None) -> int:
        return await self._retry(lambda: self._store.count_open(kinds, targets))

    async def count_by_state(self, now: float) -> Sequence[OpenCount]:
        return await self._retry(lambda: self._store.count_by_state(now))

    async def task_events(self, key: str) -> Sequence[Event]:
        return await self._retry(lambda: self._store.task_events(key))

    async def events(self, query: EventQuery) -> Sequence[Event]:
        return await self._retry(lambda: self._store.events(query))

    async def positions(self) -> Mapping[int, int]:
        return await self._retry(self._store.positions)

    async def undelivered(self, key: str) -> Mapping[str, int]:
        return await self._retry(lambda: self._store.undelivered(key))

    async def backlog(self) -> Mapping[str, Backlog]:
        return await self._retry(self._store.backlog)

    async def dead_letters(self, query: DeadLetterQuery) -> Page[DeadLetter]:
        return await self._retry(lambda: self._store.dead_letters(query))

    async def count_dead_letters(self) -> Mapping[tuple[str, str], int]:
        return await self._retry(self._store.count_dead_letters)

    async def load_states(self, name: str) -> Sequence[str]:
        return await self._retry(lambda: self._store.load_states(name))

    async def retry(self, ids: Sequence[str]) -> int:
        return await self._retry(lambda: self._store.retry(ids))

    async def purge(self, ids: Sequence[str] | None = None) -> int:
        return await self._retry(lambda: self._store.purge(ids))

    async def forget(self, selection: Selection) -> int:
        return await self._retry(lambda: self._store.forget(selection))

    async def cancel(self, keys: Sequence[str]) -> int:
        return await self._retry(lambda: self._store.cancel(keys))

    async def requests(self, after: str | None = None) -> Requests:
        return await self._retry(lambda: self._store.requests(after))

    async def _retry(self, call: Callable[[], Awaitable[T]]) -> T:
        began, overdue = self._pending.begin("store", self._clock.mono()), False
        try:
            try:
                result = await call()  # nearly always the only attempt; the retry machinery costs more than a commit
            finally:
                overdue = self._pending.end(began)
        except StoreUnavailable as error:
            return await self._until_stored(call, error)
        except Fenced:  # the store works: this is its answer
            self._succeeded(after_failure=overdue)
            raise
        self._succeeded(after_failure=overdue)
        return result

    def _succeeded(self, *, after_failure: bool = False) -> None:
        """Only a call that failed can report that the store is healthy again: on a full disk every read still works."""
        if after_failure or self._health.is_good("store"):
            self._health.good("store")

    async def _until_stored(self, call: Callable[[], Awaitable[T]], first: StoreUnavailable | None = None) -> T:
        """Retry until it succeeds. A failure before it counts as the first attempt."""
        result, attempts = await until_success(call, _is_temporary, _backoff, partial(_report, self._health), first)
        self._succeeded(after_failure=attempts > 1)
        return result


_backoff = wait_random_exponential(multiplier=0.2, max=5)
"""Seconds between two attempts: full jitter, growing up to 5 s."""


def _is_temporary(error: BaseException) -> bool:
    return isinstance(error, StoreUnavailable)


def _report(health: Health, error: BaseException | None) -> None:
    health.bad("store", str(error), HINT)
