"""Facts about open file descriptors that the adapters for files, pipes and standard streams share."""

from __future__ import annotations

import os
import stat


def can_stall(fd: int) -> bool:
    """Whether reading or writing this descriptor may have to wait for another process: a pipe, a socket or a terminal.

    False for a regular file and for /dev/null, which epoll refuses: read and write those in a worker thread.
    """
    mode = os.fstat(fd).st_mode
    return stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode) or os.isatty(fd)
