"""How many shards each replica should own."""

from __future__ import annotations

from collections.abc import Collection


def fair_share(shards: int, replicas: Collection[str], me: str) -> int:
    """The number of shards of the replica `me` among all `replicas`, by name.

    The shares add up to all shards, and no two differ by more than 1: the first replicas in order of name have the larger
    ones. So every replica comes to the same result from the same list.
    """
    names = sorted({*replicas, me})
    smaller, larger_ones = divmod(shards, len(names))
    return smaller + (names.index(me) < larger_ones)
