"""The JSON lines sink sits the exam of sinks, writing to a file and to a named pipe."""

import asyncio
import os

import anyio
import pytest

from tests.contracts.sink_exam import PATIENCE, SinkDesk, SinkExam
from watcher.adapters.sinks.jsonl import JsonlSink, JsonlSinkSettings


class FileDesk(SinkDesk):
    def __init__(self, path):
        self.path = path

    async def make(self):
        return JsonlSink(JsonlSinkSettings(path=str(self.path)))

    async def taken(self, count):
        return self.path.read_bytes().splitlines()


class PipeDesk(FileDesk):
    """A reader that takes what is there while it waits for more, as `| jq` would."""

    def __init__(self, path):
        super().__init__(path)
        os.mkfifo(path)
        self.fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        self.got = b""

    def drain(self):
        self.got += os.read(self.fd, 1 << 16)

    async def taken(self, count):
        with anyio.fail_after(PATIENCE):
            while self.got.count(b"\n") < count:
                await anyio.lowlevel.checkpoint()
        return self.got.splitlines()


class TestJsonlSinkToAFile(SinkExam):
    @pytest.fixture
    def desk(self, tmp_path):
        return FileDesk(tmp_path / "events.jsonl")


class TestJsonlSinkToAPipe(SinkExam):
    @pytest.fixture
    async def desk(self, tmp_path):
        desk = PipeDesk(tmp_path / "events")
        writer = os.open(desk.path, os.O_WRONLY | os.O_NONBLOCK)  # one writer more, so that the reader never sees the end
        asyncio.get_running_loop().add_reader(desk.fd, desk.drain)
        yield desk
        asyncio.get_running_loop().remove_reader(desk.fd)
        os.close(desk.fd)
        os.close(writer)
