"""`python -m tests.simulation --seeds 1000`: stories by the thousand. A failure names its seed, and the seed replays it."""

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
    parser = argparse.ArgumentParser(prog="python -m tests.simulation")
    parser.add_argument("--seeds", type=int, default=1000, help="how many stories")
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--logs", action="store_true", help="show what the watcher logged")
    options = parser.parse_args()
    if not options.logs:
        structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
    seen: Counter[str] = Counter()
    failed = 0
    for seed in range(options.first, options.first + options.seeds):
        try:
            record = play(draw(seed))
        except Exception:  # noqa: BLE001 - a story that breaks the watcher is one that failed; the others go on
            failed += 1
            traceback.print_exc()
            continue
        seen.update(record.seen)
        seen["over SQLite"] += record.story.sqlite
        seen["message again"] += record.queue.redelivered
        seen["event again"] += sum(len(inbox.events) - len({event.id for event in inbox.events}) for inbox in record.inboxes)
        if broken := judge(record):
            failed += 1
            print(*broken, sep="\n")
            print("again:", replay(seed))
    print(f"{options.seeds - failed} passed, {failed} failed")
    print("seen on the way:", ", ".join(f"{what} {count}" for what, count in sorted(seen.items())))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
