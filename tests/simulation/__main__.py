"""`python -m tests.simulation --seeds 1000`: play many stories. A failure prints its seed and how to play it again."""

from __future__ import annotations

import argparse
import sys
import traceback
from collections import Counter

import structlog

from tests.simulation.oracle import judge
from tests.simulation.play import play, replay
from tests.simulation.story import draw


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description="Play seeded stories of faults and kills.")
    parser.add_argument("--seeds", type=int, default=1000, metavar="N", help="how many stories to play (default 1000)")
    parser.add_argument("--first", type=int, default=0, metavar="SEED", help="the first seed (default 0)")
    parser.add_argument("--logs", action="store_true", help="show the log of the watcher")
    options = parser.parse_args()
    if not options.logs:
        structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
    seen: Counter[str] = Counter()
    failed = 0
    for seed in range(options.first, options.first + options.seeds):
        broken = _play(seed, seen)
        if broken:
            failed += 1
            print(*broken, f"replay {replay(seed)}", sep="\n")
    print(f"{options.seeds - failed} passed, {failed} failed")
    print("seen:", ", ".join(f"{name} {count}" for name, count in sorted(seen.items())))
    return 1 if failed else 0


def _play(seed: int, seen: Counter[str]) -> list[str]:
    """The promises that the story of this seed breaks. Counts in `seen` what occurred in it."""
    try:
        record = play(draw(seed))
    except Exception:  # noqa: BLE001 - a story that ends the watcher has failed; the others are still played
        return [traceback.format_exc()]
    seen.update(record.seen)
    seen["SQLite"] += record.story.sqlite
    seen["message again"] += record.queue.redelivered
    seen["event again"] += sum(len(inbox.events) - len({event.id for event in inbox.events}) for inbox in record.inboxes)
    return judge(record)


if __name__ == "__main__":
    sys.exit(main())
