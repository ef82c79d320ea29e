"""The process behind the command `watcher` and `python -m watcher`.

Signals count from its first moment: loading the commands takes half a second, in which Ctrl-C is no reason for a traceback, and in
which the kernel would keep SIGTERM from a process that is the first of its container.
"""

from __future__ import annotations

import signal
import sys

INTERRUPTED, TERMINATED = 130, 143


def main() -> None:
    """The console script."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(TERMINATED))
    try:
        from watcher.cli import main as commands
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    commands()


if __name__ == "__main__":
    main()
