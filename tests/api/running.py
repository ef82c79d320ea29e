"""The API over a running watcher between simulated peers, on the virtual time of the loop, and without sockets."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import anyio
import httpx
from fastapi import FastAPI

from tests.api.documented import Documented
from tests.runtime.conftest import World
from watcher.api.assembly import HttpApi, assemble_api
from watcher.api.settings import ApiSettings, ApiToken
from watcher.runtime.health import Condition, Health
from watcher.runtime.service import Watcher

HOST = "http://127.0.0.1:8080"
READ, WRITE = "reads-0123456789", "writes-0123456789"


class View:
    """The health of a watcher whose loop runs."""

    def __init__(self, health: Health) -> None:
        self._health = health

    def alive(self) -> tuple[bool, dict[str, Any]]:
        return True, {}

    def ready(self) -> tuple[bool, dict[str, Condition]]:
        return self._health.ready()


def api_of(world: World, watcher: Watcher, tokens: Sequence[ApiToken] = (), **settings: Any) -> HttpApi:
    """The API of a watcher, which listens nowhere."""
    configured = ApiSettings(listen="127.0.0.1:0", tokens=tuple(tokens), **settings)
    api = assemble_api(configured, View(watcher.health), watcher, world.store, world.settings, world.wall)
    api.access.beyond_loopback = False
    return api


@asynccontextmanager
async def api_client(world: World, tokens: Sequence[ApiToken] = (), **settings: Any) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the API of a running watcher."""
    async with world.running() as watcher:
        api = api_of(world, watcher, tokens, **settings)
        async with anyio.create_task_group() as loops, client_of(api.server.api) as client:
            for loop in api.loops:
                loops.start_soon(loop)
            await watcher.loops.ownership.adoption.done.wait()
            yield client
            loops.cancel_scope.cancel()


def client_of(app: FastAPI) -> httpx.AsyncClient:
    """Each reply is held against the OpenAPI document of the application."""
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    return httpx.AsyncClient(transport=transport, base_url=HOST, trust_env=False, event_hooks={"response": [Documented(app).check]})
