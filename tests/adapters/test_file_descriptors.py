"""Which descriptors can make a process wait."""

import os
import socket

from watcher.adapters.file_descriptors import can_stall


def test_pipes_sockets_and_terminals_can_stall(tmp_path):
    """A pipe, a socket and a terminal can wait for another process."""
    read, write = os.pipe()
    terminal, other = os.openpty()
    left, right = socket.socketpair()
    try:
        assert all(map(can_stall, (read, write, terminal, other, left.fileno(), right.fileno())))
    finally:
        for fd in (read, write, terminal, other):
            os.close(fd)
        left.close()
        right.close()


def test_files_and_the_null_device_cannot_stall(tmp_path):
    """A regular file and /dev/null never wait for another process."""
    for path in (tmp_path / "file", os.devnull):
        fd = os.open(path, os.O_RDWR | os.O_CREAT)
        try:
            assert not can_stall(fd)
        finally:
            os.close(fd)
