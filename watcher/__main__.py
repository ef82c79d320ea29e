"""The process behind the command `watcher` and `python -m watcher`.

The handler of SIGTERM is installed before the commands are imported: without one, the kernel does not deliver SIGTERM
to the first process of a container. For the same reason Ctrl-C during the import ends the process without a traceback.
"""

from __future__ import annotations

import signal
import sys

INTERRUPTED, TERMINATED = 130, 143


def main() -> None:
    """Run the command line."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(TERMINATED))
    try:
        from watcher.cli import main as run_command_line
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    run_command_line()


if __name__ == "__main__":
    main()
