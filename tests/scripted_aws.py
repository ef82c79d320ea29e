"""A loopback server that answers any AWS request with what the test told it to: for replies that no look-alike gives.

It reads requests as the SDK writes them: AWS JSON (`X-Amz-Target`) for SQS and EventBridge, the query form for SNS.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs

import pytest
from aiohttp import web

from tests.moto_server import environment


@dataclass(frozen=True)
class Request:
    operation: str
    json: Any
    form: dict[str, list[str]]
    region: str = ""
    """The Region for which the request is signed."""


@dataclass
class ScriptedAws:
    """Answers in the order given; a request too many gets a 599 that no test expects."""

    url: str = ""
    requests: list[Request] = field(default_factory=list)
    before_answer: Callable[[], Awaitable[None]] | None = None
    """What happens elsewhere between a request and its answer."""
    _script: deque[tuple[int, str, str] | None] = field(default_factory=deque)

    def answer(self, reply: Any, *, status: int = 200) -> None:
        """Answer a request with this JSON."""
        self.answer_text(json.dumps(reply), content_type="application/x-amz-json-1.0", status=status)

    def answer_text(self, text: str, *, content_type: str, status: int = 200) -> None:
        """Answer a request with this text."""
        self._script.append((status, text, content_type))

    def drop(self) -> None:
        """Close the connection instead of answering."""
        self._script.append(None)

    async def handle(self, request: web.Request) -> web.Response:
        body = await request.text()
        target = request.headers.get("X-Amz-Target", "")
        form = {} if target else parse_qs(body)
        operation = target.rpartition(".")[2] or form.get("Action", [""])[0]
        self.requests.append(Request(operation, json.loads(body) if target else None, form, _region(request)))
        if self.before_answer is not None:
            await self.before_answer()
        answer = self._script.popleft() if self._script else (599, "", "text/plain")
        if answer is None:
            assert request.transport is not None
            request.transport.abort()
            return web.Response()
        status, text, content_type = answer
        return web.Response(status=status, text=text, headers={"Content-Type": content_type})


def _region(request: web.Request) -> str:
    scope = request.headers.get("Authorization", "").partition("Credential=")[2].split("/")
    return scope[2] if len(scope) > 2 else ""


@pytest.fixture
async def scripted_aws(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[ScriptedAws]:
    """The server, with the environment of the process pointed at it."""
    server = ScriptedAws()
    app = web.Application(client_max_size=1 << 23)
    app.router.add_route("*", "/{path:.*}", server.handle)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    server.url = f"http://{host}:{port}"
    for name, value in environment(server.url).items():
        monkeypatch.setenv(name, value)
    yield server
    await runner.cleanup()
