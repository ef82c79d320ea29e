"""The part of the store port that moves the content of one store into another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from watcher.model import Portion


class Copies(Protocol):
    """Moves the whole content of one store into another one, while no watcher runs on either of them.

    The source is read by `Queries`, `states`, and `cancelled`, the target is written by `restore`.
    """

    async def attach_alone(self) -> None:
        """`attach` to a store that no watcher uses, and let none own it until `close`. Changes nothing in the store.

        Raises StoreRefused for a store in use, and for the target of an unfinished copy. In a shared store, replicas can
        still start: `replicas` shows them.
        """
        ...

    async def states(self) -> Mapping[str, str]:
        """The texts that are kept for the whole store, by name: without its identity, and those that replicas keep as their own."""
        ...

    async def cancelled(self) -> Sequence[str]:
        """The keys of all cancelled watches that have not ended yet, in order of admission."""
        ...

    async def open_target(self) -> None:
        """Prepare to receive a copy, as the only user of the store. Creates it if there is none.

        Raises StoreRefused for a store in use, and for one that has watches, events, or dead letters, unless they are a
        copy that no watcher has opened yet.
        """
        ...

    async def begin_copy(self, source: str, sinks: Sequence[str]) -> str:
        """Begin or continue a copy of the content that `source` identifies. Returns the `progress` of its last `restore`, empty at first.

        A new copy replaces the texts and sinks of this store, which gets a new identity. Raises StoreRefused for a copy of other content.
        From now on, `open` and `attach_alone` raise StoreRefused, until `end_copy`.
        """
        ...

    async def restore(self, portion: Portion, progress: str) -> None:
        """Add all of this portion, as it is, and record the progress, in one transaction.

        A watch keeps its id and all stored fields, an event its id and body. Events get new positions, in the order of the
        portion. Dead letters keep their tries and marks.
        """
        ...

    async def end_copy(self) -> None:
        """The copy is complete: `open` accepts the store again."""
        ...
