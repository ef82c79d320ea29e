"""The process behind the command `watcher` and `python -m watcher`.

The handler of SIGTERM is installed before the commands are imported: without one, the kernel does not deliver SIGTERM
to the first process of a container. For the same reason Ctrl-C during the import ends the process without a traceback.
"""

from __future__ import annotations

import os
import signal
import sys

INTERRUPTED, TERMINATED = 130, 143


def main() -> None:
    """Run the command line."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(TERMINATED))
    try:
        replace_closed_streams()
        from watcher.cli import main as run_command_line
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    run_command_line()


def replace_closed_streams() -> None:
    """Open /dev/null for each standard stream that was closed, as by `>&-` in a shell.

    Otherwise the next file or socket that is opened gets the number of the stream: events that a sink writes to stdout would
    go there, and libuv would abort when it closes it. The descriptor is opened for reading only, so a sink that writes to
    stdout fails instead of losing its events. What commands print for a person is discarded.
    """
    for number, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        try:
            os.fstat(number)
        except OSError:
            opened = os.open(os.devnull, os.O_RDONLY)  # the lowest free number, which is this one
            os.set_inheritable(opened, True)
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115 - open until the process ends


if __name__ == "__main__":
    main()
