"""Known bugs of replicas, planted one at a time: the oracle must find each of them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import anyio

from tests.simulation.fleet.server import MemoryServer
from tests.simulation.mutant import assemble_with
from watcher.model import Claim, Event, Lease, Watch
from watcher.runtime.arrivals import Arrivals
from watcher.runtime.assembly import assemble
from watcher.runtime.leases import Leases, Renewal
from watcher.runtime.ownership import Ownership
from watcher.runtime.poller_set import PollerSet
from watcher.runtime.service import Watcher

HIDDEN_S = 1.0
"""For how many seconds the transaction of every second event still runs when later ones can be read."""


class CountsFromTheReply(Leases):
    """Believes that the leases begin when the reply to a claim arrives."""

    def update(self, leases: Iterable[Lease], claimed_at: float) -> Renewal:
        return super().update(leases, anyio.current_time())


class StartsToTheEnd(Leases):
    """Starts calls and deliveries also when the leases have ended."""

    def may_start(self, now: float) -> bool:
        return True


class WaitsForNothing(Ownership):
    """Hands a shard over at once, whatever is in flight."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.adoption.is_busy = lambda shard, *, polling: False  # type: ignore[method-assign]


class WaitsForCallsOnly(Ownership):
    """Hands a shard over while its events are being sent, or recorded."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.adoption.is_busy = lambda shard, *, polling: self._owned.pollers.busy(shard)  # type: ignore[method-assign]


class HearsNothing(Arrivals):
    """Never looks for what other replicas have admitted."""

    async def run(self) -> None:
        await anyio.sleep_forever()


class SleepsOn(PollerSet):
    """Does not look for work again when the leases are renewed after nothing could be started."""

    def wake(self) -> None: ...


class SharesNoPace(PollerSet):
    """Makes as many calls as if it were alone."""

    def share_pace(self, claim: Claim) -> None: ...


def check_no_epoch(server: MemoryServer) -> None:
    """Let every replica write."""
    server.shared.content._check_leases = lambda shards, leases: None  # type: ignore[method-assign]


def skip_the_last_watch(server: MemoryServer) -> None:
    """Let a load of a shard leave out its last watch. Arrivals are read as they should be."""
    load = server.shared.content.load

    def skipping(shard: int, after: int | None = None) -> list[Watch]:
        return load(shard)[:-1] if after is None else load(shard, after)

    server.shared.content.load = skipping  # type: ignore[method-assign, assignment]


def show_events_out_of_order(server: MemoryServer) -> None:
    """Let every second event of a shard be visible later than those after it, as if its transaction were still running."""
    for shard in server.shared.content.shards:
        added: dict[int, float] = {}
        add, outbox = shard.add, shard.outbox

        def noting(event: Event, add: Any = add, added: dict[int, float] = added) -> Event:
            placed = add(event)
            added[placed.position] = asyncio.get_running_loop().time()
            return placed

        def reading(sink: str, after: int, limit: int, outbox: Any = outbox, added: dict[int, float] = added) -> list[Event]:
            now = asyncio.get_running_loop().time()
            return [event for event in outbox(sink, after, limit) if event.position % 2 or now - added[event.position] > HIDDEN_S]

        shard.add, shard.outbox = noting, reading  # type: ignore[method-assign]


@dataclass(frozen=True)
class FleetMutant:
    """Replicas, or a shared store, with a bug."""

    seed: int
    """A seed whose story showed the bug. When it no longer does, the test searches for another one."""
    make: Callable[..., Watcher] = assemble
    break_server: Callable[[MemoryServer], None] = lambda server: None


FLEET_MUTANTS: dict[str, FleetMutant] = {
    "no epoch check": FleetMutant(5, break_server=check_no_epoch),
    "a lease counts from the reply": FleetMutant(50, assemble_with(Leases=CountsFromTheReply)),
    "a hand-over that does not wait for calls": FleetMutant(4, assemble_with(Ownership=WaitsForNothing)),
    "a release before settling": FleetMutant(4, assemble_with(Ownership=WaitsForCallsOnly)),
    "positions read past a running transaction": FleetMutant(0, break_server=show_events_out_of_order),
    "the last watch of a shard is not loaded": FleetMutant(0, break_server=skip_the_last_watch),
    "arrivals are ignored": FleetMutant(1, assemble_with(Arrivals=HearsNothing)),
    "starts after the end of the leases": FleetMutant(5, assemble_with(Leases=StartsToTheEnd)),
    "no wake-up after a late renewal": FleetMutant(2, assemble_with(PollerSet=SleepsOn)),
    "every replica keeps the whole pace": FleetMutant(59, assemble_with(PollerSet=SharesNoPace)),
}
