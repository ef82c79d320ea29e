"""`ports.Copies` in memory."""

# ruff: noqa: D102 - watcher/ports/ says what each method promises

from __future__ import annotations

from collections.abc import Mapping, Sequence

from watcher.adapters.stores.memory.access import MemoryAccess
from watcher.core.copying import marker
from watcher.model import Portion
from watcher.ports import IDENTITY


class MemoryCopies(MemoryAccess):
    """The whole content, read or written while no watcher runs on it."""

    async def attach_alone(self) -> None:
        await self.attach()
        marker.check_complete(self._copy_record())

    async def states(self) -> Mapping[str, str]:
        return {name: texts[""] for name, texts in self.content.state.items() if "" in texts and name not in (marker.NAME, IDENTITY)}

    async def cancelled(self) -> Sequence[str]:
        return list(self.content.cancelled(range(self.shards)))

    async def open_target(self) -> None:
        marker.check_empty(self._copy_record(), has_content=bool(self.content.watches) or bool(self.content.dead_letters.count()))
        self._open = True

    async def begin_copy(self, source: str, sinks: Sequence[str]) -> str:
        found = self._copy_record()
        record, progress = marker.begin(found, source)
        if found is None:
            self.content.reset(sinks)
        self._leases.leave("")
        self.content.state[marker.NAME] = {"": record}
        return progress

    async def restore(self, portion: Portion, progress: str) -> None:
        record = marker.advance(self._copy_record(), progress)
        self.content.restore(portion)
        self.content.state[marker.NAME] = {"": record}

    async def end_copy(self) -> None:
        self.content.state[marker.NAME] = {"": marker.complete(self._copy_record())}
