"""What names a remote task, and which shard of the store it belongs to."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from hashlib import blake2b
from urllib.parse import quote, unquote

DEFAULT_TARGET = "default"


@dataclass(frozen=True, slots=True)
class TaskRef:
    """Names a remote task. `params` are the identifiers, in the order that its kind defines."""

    kind: str
    params: tuple[str, ...]
    target: str = DEFAULT_TARGET
    _key: str | None = field(default=None, init=False, repr=False, compare=False)

    @classmethod
    def of(cls, key: str, target: str) -> TaskRef:
        """The task of this key. The target is an argument because a key alone does not say whether it starts with one."""
        parts = key.split("/") if "%" not in key else [unquote(part) for part in key.split("/")]
        kind, *params = parts if target == DEFAULT_TARGET else parts[1:]
        ref = cls(kind, tuple(params), target)
        object.__setattr__(ref, "_key", key)
        return ref

    @property
    def key(self) -> str:
        """The kind and the params, each percent-encoded, joined by `/`; preceded by `target/` for a target other than the default."""
        if self._key is None:
            parts = (self.kind, *self.params) if self.target == DEFAULT_TARGET else (self.target, self.kind, *self.params)
            object.__setattr__(self, "_key", "/".join(quote(part, safe="") for part in parts))
        return self._key  # type: ignore[return-value]  # set above; cached because a poll reads it ten times


@dataclass(frozen=True, slots=True)
class Scope:
    """Where the tasks of a target are: an account in a Region. None where that is not known."""

    region: str | None = None
    account: str | None = None
    """12 digits."""


def shard_of(key: str, shards: int) -> int:
    """The shard of a task: the first 8 bytes of BLAKE2b of its key, as a big-endian number, modulo the number of shards."""
    if shards == 1:
        return 0
    return int.from_bytes(blake2b(key.encode(), digest_size=8).digest(), "big") % shards


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to write to one shard. `epoch` is the fencing token: it grows with each change of owner."""

    shard: int
    epoch: int
    duration_s: float = math.inf
    """How long the lease is valid, in seconds, counted from before the `claim` that returned it was sent."""
