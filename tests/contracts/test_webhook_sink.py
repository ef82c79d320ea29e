"""The webhook sink takes the exam of sinks, with a receiver on loopback."""

import time

import anyio
import pytest

from tests.adapters.hook_server import HookServer
from tests.contracts.sink_exam import RemoteSinkExam, RemoteSinkPeer
from watcher.adapters.sinks.webhook import WebhookSink, WebhookSinkSettings


class WebhookPeer(RemoteSinkPeer):
    def __init__(self, server):
        self.server = server

    async def make(self):
        return WebhookSink(WebhookSinkSettings(url=self.server.url), clock=time.time)

    async def taken(self, count):
        while len(self.server.requests) < count:
            await anyio.lowlevel.checkpoint()
        return [request.body for request in self.server.requests]

    async def disconnect(self):
        await self.server.stop()

    async def restore(self):
        await self.server.start()


class TestWebhookSink(RemoteSinkExam):
    @pytest.fixture
    async def peer(self):
        server = HookServer()
        await server.start()
        yield WebhookPeer(server)
        await server.stop()
