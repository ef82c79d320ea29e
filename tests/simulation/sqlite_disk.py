"""The SQLite store in a story: a real file, real transactions, and the real errors of SQLite, on virtual time."""

from __future__ import annotations

import asyncio
import os
import resource
from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Any

import anyio

from tests.simulation.disk import NO_LIMIT, Content
from tests.simulation.turns import in_turns
from watcher.adapters.stores.sqlite import SqliteStore, SqliteStoreSettings, dead_letter_rows, event_rows, schema, watch_rows
from watcher.errors import StoreError
from watcher.model import Leftover, Watch
from watcher.ports import Store
from watcher.query import DeadLetterQuery, Selection, TaskQuery

IN_MEMORY = "/dev/shm"
"""A file system in memory, used where there is one: no story depends on how long an fsync takes."""
RESTART_S, STARTS = 5.0, 40
"""Seconds after which a process that could not open its store is started again, and the most starts: no trouble lasts longer."""

_TOKENS = "SELECT w.key, t.token FROM task_tokens t JOIN watches w ON w.n = t.watch WHERE t.token IS NOT NULL"


class SqliteDisk:
    """A file, which the stores of all processes open one after the other. Enter it on the loop of the story."""

    def __init__(self, rng: Random, slowest_s: float) -> None:
        self.full = ""
        self.killed = True
        self.visits = 0
        """Odd while another process has the file open."""
        self._visitor = anyio.Lock()
        self._rng = rng
        self._slowest_s = slowest_s
        self._stores: list[RestartedStore] = []
        self._resources = ExitStack()

    def __enter__(self) -> SqliteDisk:
        parent = IN_MEMORY if os.access(IN_MEMORY, os.W_OK) else None
        self.path = Path(self._resources.enter_context(TemporaryDirectory(dir=parent))) / "watcher.db"
        loop: Any = asyncio.get_running_loop()
        self._resources.enter_context(in_turns(loop, lambda: self._rng.uniform(0, self._slowest_s), self._limited))
        return self

    def __exit__(self, *failure: type[BaseException] | BaseException | TracebackType | None) -> None:
        self._resources.close()

    def store(self) -> RestartedStore:
        store = RestartedStore(self)
        self._stores.append(store)
        return store

    def read_content(self) -> Content:
        with closing(schema.connect(str(self.path))) as db:
            open_ = [watch.key for watch in watch_rows.find_all(db, TaskQuery(open=True, limit=NO_LIMIT)).items]
            backlog = {sink: unsettled.events for sink, unsettled in event_rows.backlog(db).items()}
            tokens = db.execute(_TOKENS).fetchall()
            return Content(open_, backlog, dead_letter_rows.find(db, DeadLetterQuery(limit=NO_LIMIT)).items, tokens)

    def put(self, watches: Sequence[Watch]) -> None:
        schema.create(str(self.path))
        with closing(schema.connect(str(self.path))) as db:
            schema.prepare(db, str(self.path))
            watch_rows.admit(db, watches)

    async def forget(self, selection: Selection) -> int:
        """Erase tasks as `watcher forget` does."""
        return await self._operate(lambda store: store.forget(selection))

    async def cancel(self, keys: Sequence[str]) -> int:
        """Cancel tasks."""
        return await self._operate(lambda store: store.cancel(keys))

    async def _operate(self, request: Callable[[Store], Awaitable[int]]) -> int:
        """Make a request in another process, which opens the file as well. One such process comes after the other."""
        async with self._visitor:
            return await self._visit(request)

    async def _visit(self, request: Callable[[Store], Awaitable[int]]) -> int:
        store = self.store()
        self.visits += 1
        try:
            await store.attach()
            return await request(store)
        finally:
            with anyio.CancelScope(shield=True):
                await store.close()
            self.visits += 1

    def files(self) -> dict[Path, bytes]:
        """The files that a process leaves when it ends now, without the index of the log."""
        files = (self.path, self._beside("-wal"))
        return {file: file.read_bytes() for file in files if file.exists()}

    def restore(self, files: dict[Path, bytes]) -> None:
        """Replace the files by those that were there before a store closed them."""
        for suffix in ("-wal", "-shm"):
            self._beside(suffix).unlink(missing_ok=True)
        for file, content in files.items():
            file.write_bytes(content)

    def _beside(self, suffix: str) -> Path:
        return self.path.with_name(self.path.name + suffix)

    @contextmanager
    def _limited(self) -> Iterator[None]:
        """Limit what the disk accepts, while a thread works and everything else stops."""
        for store in self._stores:
            for db in store._file._connections[:1]:
                db.execute(f"PRAGMA max_page_count = {1 if self.full == 'pages' else 2**32 - 2}")  # never less than there are
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (0 if self.full == "bytes" else soft, hard))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


class RestartedStore(SqliteStore):
    """The store of one process, which may be killed, and which a supervisor starts again when it cannot open its store."""

    def __init__(self, disk: SqliteDisk) -> None:
        super().__init__(SqliteStoreSettings(path=str(disk.path)))
        self._disk = disk

    async def open(self, sinks: Sequence[str], drop: Collection[str] = ()) -> Mapping[str, Leftover]:
        for _ in range(STARTS):
            with suppress(StoreError):
                return await super().open(sinks, drop)
            await super().close()
            await anyio.sleep(RESTART_S)
        return await super().open(sinks, drop)

    async def close(self) -> None:
        """Leave the file as a killed process does, unless another process has it open and so keeps its log."""
        disk = self._disk
        files, visits = disk.files(), disk.visits
        await super().close()
        if disk.killed and disk.visits == visits and visits % 2 == 0:
            disk.restore(files)
        if self in disk._stores:
            disk._stores.remove(self)
