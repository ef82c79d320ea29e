"""Plays fleet stories on a PostgreSQL server."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack

from tests.postgres import PostgresServer
from tests.simulation.fleet.loop import FreezingLoop
from tests.simulation.fleet.oracle import FleetRecord
from tests.simulation.fleet.play import play_fleet
from tests.simulation.fleet.story import FleetStory
from tests.simulation.fleet_postgres.server import SLOW_COMMITS, PostgresFleet
from watcher.runtime.assembly import assemble
from watcher.runtime.service import Watcher


def replay(seed: int) -> str:
    """How to play the fleet story of this seed again."""
    return f"seed {seed}: python -m tests.simulation --postgres --first {seed} --seeds 1 --logs"


def play_on_postgres(
    server: PostgresServer, fleet: FleetStory, make: Callable[..., Watcher] = assemble, slow_commits: float = SLOW_COMMITS
) -> FleetRecord:
    """Play the story in a new schema of this server. `make` assembles each watcher.

    `slow_commits` is the share of writes at which the commits of their process begin to take up to some seconds.
    """
    with ExitStack() as stack:

        def serve(fleet: FleetStory, loop: FreezingLoop) -> PostgresFleet:
            return stack.enter_context(PostgresFleet(server, fleet, loop, slow_commits))

        return play_fleet(fleet, make, serve=serve)
