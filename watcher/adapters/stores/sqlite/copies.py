"""`ports.Copies` in a SQLite file."""

# ruff: noqa: D102 - watcher/ports/ says what each method promises

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

from watcher.adapters.stores.sqlite import copy_rows, watch_rows
from watcher.adapters.stores.sqlite.access import SqliteAccess
from watcher.model import Portion


class SqliteCopies(SqliteAccess):
    """The whole content of the file, read or written while no watcher runs on it."""

    async def attach_alone(self) -> None:
        await self._file.join(self._begin, alone=True)
        await self._file.read(copy_rows.check_complete)

    async def states(self) -> Mapping[str, str]:
        return await self._file.read(copy_rows.states)

    async def cancelled(self) -> Sequence[str]:
        return list(await self._file.query(partial(watch_rows.cancelled, limit=-1)))

    async def open_target(self) -> None:
        await self._file.own(self._begin)
        await self._file.read(copy_rows.check_empty)

    async def begin_copy(self, source: str, sinks: Sequence[str]) -> str:
        return await self._file.write(partial(copy_rows.begin, source=source, sinks=sinks))

    async def restore(self, portion: Portion, progress: str) -> None:
        await self._file.write(partial(copy_rows.restore, portion=portion, progress=progress))

    async def end_copy(self) -> None:
        await self._file.write(copy_rows.end)
