"""Bugs of a store, each planted into an open store of a story. For `mutants.py`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from sqlite3 import Connection
from typing import Any

from watcher.adapters.stores.memory import MemoryStore
from watcher.adapters.stores.sqlite import SqliteStore, watch_rows
from watcher.model import NO_TOKENS, Change, Lease, TaskTokens, Watch


def admit_everything(store: Any) -> None:
    """Let every message start a new watch, also about a task that is watched already."""

    async def admit(watches: Sequence[Watch], task_tokens: TaskTokens = NO_TOKENS) -> Sequence[Watch]:
        if isinstance(store, MemoryStore):
            for watch in watches:
                store.content.admit(watch)
                store.content.watches[watch.key] = watch
        elif isinstance(store, SqliteStore):
            await store._file.write(partial(_replace, watches=watches))
        return watches

    store.admit = admit


def commit_erased_watches(store: Any) -> None:
    """Let a commit write a watch that was erased in the meantime."""

    async def commit(changes: Sequence[Change], leases: Mapping[int, Lease]) -> Sequence[str]:
        if isinstance(store, MemoryStore):
            for change in changes:
                store.content.admit(change.watch)
                store.content.watches[change.watch.key] = change.watch
                for event in change.events:
                    store.content.add_event(event)
        elif isinstance(store, SqliteStore):
            await store._file.write(partial(_replace, watches=[change.watch for change in changes]))
            await store._file.write(partial(watch_rows.commit, changes=changes))
        return []

    store.commit = commit


def commit_late(store: Any) -> None:
    """Let a SQLite store report a commit that it makes together with the next one."""
    writer = getattr(getattr(store, "_file", None), "_writer", None)
    if writer is None:
        return
    commit, late = writer._commit, list[Any]()

    def report_early(calls: Sequence[Any]) -> None:
        commit([*late])
        late[:] = calls
        writer._db.execute("BEGIN IMMEDIATE")
        for call in calls:
            call.result = call.work(writer._db)
        writer._db.execute("ROLLBACK")

    writer._commit = report_early


def lose_the_log(store: Any) -> None:
    """Let a SQLite store lose its log, and so its last commits, with the process."""
    disk = getattr(store, "_disk", None)
    if disk is not None:
        files = disk.files
        disk.files = lambda: {disk.path: files()[disk.path]}


def _replace(db: Connection, watches: Sequence[Watch]) -> None:
    """Write these watches, whatever exists under their keys."""
    for watch in watches:
        existing = watch_rows.find(db, watch.key)
        if existing is not None and existing.id != watch.id:
            db.execute("DELETE FROM watches WHERE key = ?", (watch.key,))
    watch_rows.admit(db, watches)
