"""The JSON lines sink takes the exam of sinks, with a file and with a named pipe."""

import asyncio
import os

import anyio
import pytest

from tests.contracts.sink_exam import SinkExam, SinkPeer
from watcher.adapters.sinks.jsonl import JsonlSink, JsonlSinkSettings


class FilePeer(SinkPeer):
    def __init__(self, path):
        self.path = path

    async def make(self):
        return JsonlSink(JsonlSinkSettings(path=str(self.path)))

    async def taken(self, count):
        return self.path.read_bytes().splitlines()


class PipePeer(FilePeer):
    """A reader that reads whatever is in the pipe, as `| jq` does."""

    def __init__(self, path):
        super().__init__(path)
        os.mkfifo(path)
        self.fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        self.got = b""

    def drain(self):
        self.got += os.read(self.fd, 1 << 16)

    async def taken(self, count):
        while self.got.count(b"\n") < count:
            await anyio.lowlevel.checkpoint()
        return self.got.splitlines()


class TestJsonlSinkToAFile(SinkExam):
    @pytest.fixture
    def peer(self, tmp_path):
        return FilePeer(tmp_path / "events.jsonl")


class TestJsonlSinkToAPipe(SinkExam):
    @pytest.fixture
    async def peer(self, tmp_path):
        peer = PipePeer(tmp_path / "events")
        writer = os.open(peer.path, os.O_WRONLY | os.O_NONBLOCK)  # a second writer, so that the reader never reaches the end of the file
        asyncio.get_running_loop().add_reader(peer.fd, peer.drain)
        yield peer
        asyncio.get_running_loop().remove_reader(peer.fd)
        os.close(peer.fd)
        os.close(writer)
