"""The lines source sits the exam of sources, reading a file and a named pipe."""

import os

import pytest

from tests.contracts.source_exam import SourceDesk, SourceExam
from watcher.adapters.sources.lines import LinesSource, LinesSourceSettings


class FileDesk(SourceDesk):
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

    async def lapse(self, messages):
        """A line has no hold."""

    async def lose(self, messages):
        """A line is nobody else's."""


class PipeDesk(FileDesk):
    finite = False
    redelivers = False
    remembers = True

    def __init__(self, path):
        os.mkfifo(path)
        self.path = path
        self.fd = os.open(path, os.O_RDWR | os.O_NONBLOCK)  # keeps the pipe, and what is in it, while nobody else has it open

    async def put(self, *bodies):
        os.write(self.fd, b"".join(body + b"\n" for body in bodies))


class TestLinesSourceFromAFile(SourceExam):
    @pytest.fixture
    def desk(self, tmp_path):
        return FileDesk(tmp_path / "tasks.txt")


class TestLinesSourceFromAPipe(SourceExam):
    @pytest.fixture
    def desk(self, tmp_path):
        desk = PipeDesk(tmp_path / "tasks")
        yield desk
        os.close(desk.fd)
