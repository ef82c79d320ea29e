"""What the store knows and no process does: who owned which shard when, how each lease ended, and which writes succeeded."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Literal

from watcher.model import Claim, Lease

Owners = Mapping[int, tuple[str | None, int]]
"""By shard, the name of the owner (None: it is free), and the epoch of the current lease, or of the last one."""
End = Literal["released", "lost"]


class Audit:
    """Is told of each claim, release, and write when it takes effect, and notes what must not be."""

    def __init__(self, now: Callable[[], float]) -> None:
        self.broken: list[str] = []
        self.seen: Counter[str] = Counter()
        self.owned_since: float | None = None
        """Since when each shard has an owner that lives. None: at the moment, not every one has."""
        self._now = now
        self._granted: dict[Lease, int] = {}
        """By lease, the process that got it."""
        self._ended: dict[Lease, End] = {}
        self._leaving: set[int] = set()
        """Processes that have released everything at the end of their stop."""
        self._admitted: dict[str, int] = {}
        """By key, the process that admitted the task."""

    def claimed(self, process: int, claim: Claim, owners: Owners) -> None:
        """A claim took effect."""
        self._note_ends(owners, "lost")
        for lease in (_bare(lease) for lease in claim.leases):
            if self._granted.setdefault(lease, process) != process:
                self._break(f"{lease} was granted to process {process} and to process {self._granted[lease]}")
        self.seen["takeover"] += sum(claim.expired.values())
        self.seen["surplus"] += claim.surplus

    def released(self, process: int, owners: Owners, *, leaving: bool) -> None:
        """A release took effect."""
        before = len(self._ended)
        self._note_ends(owners, "released")
        self.seen["hand-over"] += 0 if leaving else len(self._ended) - before
        if leaving:
            self._leaving.add(process)

    def wrote(self, process: int, shards: Iterable[int], leases: Mapping[int, Lease], owners: Owners) -> None:
        """A commit or a settlement took effect."""
        for shard in shards:
            lease = leases.get(shard)
            if (
                lease is None
                or self._granted.get(_bare(lease)) != process
                or _bare(lease) in self._ended
                or owners[shard][1] != lease.epoch
            ):
                self._break(f"process {process} wrote to shard {shard} under {lease}: now {owners[shard]}")

    def fenced(self, process: int, shards: Iterable[int], leases: Mapping[int, Lease]) -> None:
        """A write was refused, because these shards are not owned by its process any more."""
        self.seen["fenced"] += 1
        for lease in (leases[shard] for shard in shards if shard in leases):
            if self._ended.get(_bare(lease)) == "released" and process not in self._leaving:
                self._break(f"process {process} wrote under {lease}, which it had given back")

    def began(self, process: int, what: str, shards: Iterable[int], owners: Owners) -> None:
        """A process begins a call, or a delivery: only the owner of a shard may."""
        for shard in shards:
            owner, epoch = owners[shard]
            if owner is None or self._granted.get(Lease(shard, epoch)) != process:
                self._break(f"process {process} began {what} of shard {shard}: now {owners[shard]}")

    def admitted(self, process: int, keys: Iterable[str]) -> None:
        """A process has admitted new tasks."""
        self._admitted.update(dict.fromkeys(keys, process))

    def arrived(self, process: int, keys: Iterable[str]) -> None:
        """Arrivals of tasks that a process did not poll yet."""
        self.seen["arrival"] += sum(self._admitted.get(key, process) != process for key in keys)

    def note_owners(self, owners: Owners, living: Iterable[str]) -> None:
        """A shard may have another owner now, or a process may have ended."""
        names = set(living)
        if not all(owner in names for owner, _ in owners.values()):
            self.owned_since = None
        elif self.owned_since is None:
            self.owned_since = self._now()

    def _note_ends(self, owners: Owners, how: End) -> None:
        current = {Lease(shard, epoch) for shard, (owner, epoch) in owners.items() if owner is not None}
        for lease in self._granted:
            if lease not in current:
                self._ended.setdefault(lease, how)

    def _break(self, promise: str) -> None:
        self.broken.append(f"{promise}, at {self._now():.3f}")


def _bare(lease: Lease) -> Lease:
    """The lease without its duration."""
    return Lease(lease.shard, lease.epoch)
