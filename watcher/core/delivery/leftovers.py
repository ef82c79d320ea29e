"""What a store still holds for sinks that are no longer configured. Decides whether the start may remove and erase them."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from watcher.errors import SinksRemoved, StoreRefused
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


def check_same_sinks(known: Collection[str], sinks: Collection[str], replicas: Collection[str]) -> None:
    """Check that no sink is removed while replicas deliver to it. Raises StoreRefused.

    `known` are the sinks of the store, `sinks` those of this configuration, `replicas` the names of the others that are alive.
    Without this, one replica with another configuration would make the others skip the events of a sink.
    """
    if (removed := sorted(set(known) - set(sinks))) and replicas:
        raise StoreRefused(
            f"replicas are running ({', '.join(sorted(replicas))}) that deliver to the sink {', '.join(removed)}, which is not configured"
            " here: all replicas need the same sinks; configure it, or stop these replicas before you remove it"
        )


def check_not_removed(known: Collection[str], sinks: Collection[str]) -> None:
    """Check that no other replica has removed sinks of this one since it opened the store. Raises StoreRefused."""
    if removed := sorted(set(sinks) - set(known)):
        raise StoreRefused(
            f"a replica with another configuration has removed the sink {', '.join(removed)} from this store:"
            " all replicas need the same sinks; use the same configuration for all of them"
        )
