"""The lines source takes the exam of sources, with a file and with a named pipe."""

import os

import pytest

from tests.contracts.source_exam import SourceExam, SourcePeer
from watcher.adapters.sources.lines import LinesSource, LinesSourceSettings


class FilePeer(SourcePeer):
    finite = True
    remembers = False

    def __init__(self, path):
        self.path = path
        path.touch()

    async def make(self):
        return LinesSource(LinesSourceSettings(path=str(self.path)))

    async def put(self, *bodies):
        with self.path.open("ab") as file:
            file.write(b"".join(body + b"\n" for body in bodies))

    async def expire_hold(self, messages):
        """Do nothing: a line has no hold."""

    async def delete(self, messages):
        """Do nothing: no other process receives these lines."""


class PipePeer(FilePeer):
    finite = False
    redelivers = False
    remembers = True

    def __init__(self, path):
        os.mkfifo(path)
        self.path = path
        self.fd = os.open(path, os.O_RDWR | os.O_NONBLOCK)  # keeps the pipe and its content while no other process has it open

    async def put(self, *bodies):
        os.write(self.fd, b"".join(body + b"\n" for body in bodies))


class TestLinesSourceFromAFile(SourceExam):
    @pytest.fixture
    def peer(self, tmp_path):
        return FilePeer(tmp_path / "tasks.txt")


class TestLinesSourceFromAPipe(SourceExam):
    @pytest.fixture
    def peer(self, tmp_path):
        peer = PipePeer(tmp_path / "tasks")
        yield peer
        os.close(peer.fd)
