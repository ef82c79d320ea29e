"""The real SQLite store in a story: a real file, real transactions, real errors of SQLite, on virtual time."""

from __future__ import annotations

import asyncio
import resource
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Any

import anyio

from tests.simulation.disk import Content
from tests.simulation.turns import in_turns
from watcher.adapters.stores.sqlite import SqliteStore, SqliteStoreSettings, dead_letter_rows, event_rows, schema, watch_rows
from watcher.errors import StoreError
from watcher.model import Watch

AGAIN_S, STARTS = 5.0, 40
"""How soon a process that could not open its store is started again, and how often at most: no trouble lasts longer."""


class Database:
    """A file, which the stores of all lives open one after the other. To be entered on the loop of the story."""

    def __init__(self, rng: Random, slowest_s: float) -> None:
        self.full = ""
        self.killed = True
        self.visits = 0
        """Odd while somebody else has the file open."""
        self._rng = rng
        self._slowest = slowest_s
        self._stores: list[PlayedStore] = []
        self._resources = ExitStack()

    def __enter__(self) -> Database:
        self.path = Path(self._resources.enter_context(TemporaryDirectory())) / "watcher.db"
        loop: Any = asyncio.get_running_loop()
        self._resources.enter_context(in_turns(loop, lambda: self._rng.uniform(0, self._slowest), self._as_it_is))
        return self

    def __exit__(self, *failure: type[BaseException] | BaseException | TracebackType | None) -> None:
        self._resources.close()

    def store(self) -> PlayedStore:
        store = PlayedStore(self)
        self._stores.append(store)
        return store

    def content(self) -> Content:
        with closing(schema.connect(str(self.path))) as db:
            still = [watch.key for watch in watch_rows.newest(db, open_only=True, limit=sys.maxsize)]
            backlog = {sink: waiting.events for sink, waiting in event_rows.backlog(db).items()}
            return Content(still, backlog, dead_letter_rows.newest(db))

    def put(self, watches: Sequence[Watch]) -> None:
        schema.create(str(self.path))
        with closing(schema.connect(str(self.path))) as db:
            schema.prepare(db, str(self.path))
            watch_rows.admit(db, watches)

    async def forget(self, *, key: str) -> int:
        """As `watcher forget` does it: in another process, which opens the file as well."""
        store = self.store()
        self.visits += 1
        try:
            await store.attach()
            return await store.forget(key=key)
        finally:
            with anyio.CancelScope(shield=True):
                await store.close()
            self.visits += 1

    def left(self) -> dict[Path, bytes]:
        """What a process leaves that ends now. The log's index is no part of it."""
        files = (self.path, self._beside("-wal"))
        return {file: file.read_bytes() for file in files if file.exists()}

    def put_back(self, left: dict[Path, bytes]) -> None:
        """As if nobody had closed the file since."""
        for suffix in ("-wal", "-shm"):
            self._beside(suffix).unlink(missing_ok=True)
        for file, content in left.items():
            file.write_bytes(content)

    def _beside(self, suffix: str) -> Path:
        return self.path.with_name(self.path.name + suffix)

    @contextmanager
    def _as_it_is(self) -> Iterator[None]:
        """What the disk takes, while a thread is at work and all else stands still."""
        for store in self._stores:
            for db in store._connections[:1]:
                db.execute(f"PRAGMA max_page_count = {1 if self.full == 'pages' else 2**32 - 2}")  # never less than there are
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (0 if self.full == "bytes" else soft, hard))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


class PlayedStore(SqliteStore):
    """The store of one process, which may be killed and is started again."""

    def __init__(self, ground: Database) -> None:
        super().__init__(SqliteStoreSettings(path=str(ground.path)))
        self._ground = ground

    async def open(self, sinks: Sequence[str]) -> None:
        """A process that cannot open its store ends, and whoever started it starts it again."""
        for _ in range(STARTS):
            with suppress(StoreError):
                return await super().open(sinks)
            await super().close()
            await anyio.sleep(AGAIN_S)
        return await super().open(sinks)

    async def close(self) -> None:
        """Killed, it leaves the file as it is; unless somebody else has it open, and so keeps its log."""
        ground = self._ground
        left, visits = ground.left(), ground.visits
        await super().close()
        if ground.killed and ground.visits == visits and visits % 2 == 0:
            ground.put_back(left)
        if self in ground._stores:
            ground._stores.remove(self)
