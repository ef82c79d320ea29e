"""How the state of remote tasks is read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from watcher.errors import RemoteError
from watcher.model import Observation, TaskRef


class Probe(Protocol):
    """Reads the state of remote tasks."""

    async def open(self) -> None: ...
    async def close(self) -> None: ...
    async def check(self) -> str: ...

    async def observe(self, refs: Sequence[TaskRef]) -> Sequence[Observation | RemoteError]:
        """Make one wire request about these tasks. Returns an outcome for each, in order.

        `refs` are of one batch group: the same kind and target, and `Kind.group`, at most `kind.batch_size` of them. The call ends within
        the call deadline, whatever the peer does. Raises a `RemoteError` when the call as a whole failed, and nothing
        else; a reply that makes no sense is `Unreadable`.
        """
        ...

    async def refresh(self, target: str) -> None:
        """Discard the current credentials of a target and fetch new ones, with one attempt."""
        ...
