"""What a store still holds for sinks that are no longer configured. Decides whether the start may erase them."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from watcher.errors import SinksRemoved
from watcher.model import Backlog, Leftover


def leftovers(sinks: Collection[str], backlog: Mapping[str, Backlog], dead_letters: Mapping[tuple[str, str], int]) -> dict[str, Leftover]:
    """By name, what is left for each sink that is not one of these. A sink without anything is left out.

    `dead_letters` are numbers by `what` and `origin`.
    """
    rejected = {origin: count for (what, origin), count in dead_letters.items() if what == "event"}
    names = sorted((backlog.keys() | rejected.keys()) - set(sinks))
    left = {name: Leftover(backlog[name].events if name in backlog else 0, rejected.get(name, 0)) for name in names}
    return {name: each for name, each in left.items() if each != Leftover()}


def to_drop(left: Mapping[str, Leftover], drop: Collection[str]) -> dict[str, Leftover]:
    """What may be erased. Raises SinksRemoved if a sink that is not in `drop` has something left."""
    kept = {name: str(each) for name, each in left.items() if name not in drop}
    if kept:
        raise SinksRemoved(kept)
    return dict(left)
