"""A loopback server that accepts what a sink sends to Lambda or Step Functions, and can be shut and opened again."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from tests.moto_server import environment


class AwsReceiver:
    """Accepts asynchronous invocations and answers to task tokens, and keeps them in the order of arrival."""

    def __init__(self) -> None:
        self.payloads: list[bytes] = []
        self.invoked: list[str] = []
        """The function in the path of each invocation."""
        self.answers: list[tuple[str, dict[str, str]]] = []
        """The operation and the parameters of each answer to a token."""
        self.shut = False

    async def handle(self, request: web.Request) -> web.Response:
        body = await request.read()
        if self.shut:
            assert request.transport is not None
            request.transport.abort()
            return web.Response()
        if target := request.headers.get("X-Amz-Target"):
            return self._answer(target.rpartition(".")[2], json.loads(body))
        if request.headers["X-Amz-Invocation-Type"] == "DryRun":
            return web.Response(status=204)
        self.payloads.append(body)
        self.invoked.append(request.path)
        return web.Response(status=202)

    def _answer(self, operation: str, params: dict[str, str]) -> web.Response:
        if params["taskToken"] == "check":
            return web.json_response({"__type": "InvalidToken"}, status=400)
        self.answers.append((operation, params))
        return web.json_response({})


@asynccontextmanager
async def receiving(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[AwsReceiver]:
    """Run the server, with the environment of the process pointed at it."""
    receiver = AwsReceiver()
    app = web.Application(client_max_size=1 << 22)
    app.router.add_route("*", "/{path:.*}", receiver.handle)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]
    for name, value in environment(f"http://{host}:{port}").items():
        monkeypatch.setenv(name, value)
    yield receiver
    await runner.cleanup()
