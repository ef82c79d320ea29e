"""Reads the store beside the story: while it reads, everything else stops."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Any

from tests.simulation.disk import NO_LIMIT, Content
from watcher.adapters.stores.postgres import PostgresStore
from watcher.query import DeadLetterQuery, TaskQuery


class Outside:
    """A store on an event loop and a thread of its own, as another program has it."""

    def __init__(self, store: PostgresStore) -> None:
        self._store = store
        self._thread = ThreadPoolExecutor(1, "outside")

    def __enter__(self) -> Outside:
        self._runner: asyncio.Runner = self._thread.submit(asyncio.Runner).result()
        return self

    def __exit__(self, *failure: type[BaseException] | BaseException | TracebackType | None) -> None:
        self._run(self._store.close)
        self._thread.submit(self._runner.close).result()
        self._thread.shutdown()

    def create(self) -> None:
        """Create the tables."""
        self._run(lambda: self._store.open(()))

    def content(self) -> Content:
        """What the store holds now."""
        return self._run(self._read)

    async def _read(self) -> Content:
        open_ = await self._store.tasks(TaskQuery(open=True, limit=NO_LIMIT))
        backlog = {sink: waiting.events for sink, waiting in (await self._store.backlog()).items()}
        letters = await self._store.dead_letters(DeadLetterQuery(limit=NO_LIMIT))
        return Content([watch.key for watch in open_.items], backlog, letters.items)

    def _run(self, work: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
        return self._thread.submit(lambda: self._runner.run(work())).result()
