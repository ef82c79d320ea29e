"""The web hook sits the exam of sinks, against a receiver on loopback."""

import time

import anyio
import pytest

from tests.adapters.hook_server import HookServer
from tests.contracts.sink_exam import PATIENCE, RemoteSinkDesk, RemoteSinkExam
from watcher.adapters.sinks.webhook import WebhookSink, WebhookSinkSettings


class WebhookDesk(RemoteSinkDesk):
    def __init__(self, server):
        self.server = server

    async def make(self):
        return WebhookSink(WebhookSinkSettings(url=self.server.url), clock=time.time)

    async def taken(self, count):
        with anyio.fail_after(PATIENCE):
            while len(self.server.requests) < count:
                await anyio.lowlevel.checkpoint()
        return [request.body for request in self.server.requests]

    async def cut(self):
        await self.server.stop()

    async def mend(self):
        await self.server.start()


class TestWebhookSink(RemoteSinkExam):
    @pytest.fixture
    async def desk(self):
        server = HookServer()
        await server.start()
        yield WebhookDesk(server)
        await server.stop()
