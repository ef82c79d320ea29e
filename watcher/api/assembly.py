"""Connects the HTTP API of a running watcher: its routes, its server, and the loops that they need."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from typing import Any

import anyio
from fastapi import APIRouter

from watcher.api.access import Access, read_clients
from watcher.api.application import build_api
from watcher.api.backend import Backend
from watcher.api.cursors import Cursors
from watcher.api.dead_letter_routes import dead_letter_router
from watcher.api.event_routes import event_router
from watcher.api.health_routes import health_router
from watcher.api.health_view import HealthView
from watcher.api.overview import OverviewReader, overview_router
from watcher.api.page.routes import page_router
from watcher.api.replica_routes import replica_router
from watcher.api.server import HttpServer
from watcher.api.settings import ApiSettings
from watcher.api.task_routes import task_router
from watcher.observe.metrics import Metrics

ApiLoop = Callable[[], Coroutine[Any, Any, None]]


class HttpApi:
    """`open` binds the port, `serve` answers until cancelled, `close` releases the port."""

    def __init__(
        self,
        settings: ApiSettings,
        view: HealthView,
        backend: Backend,
        cursors: Cursors,
        overview: OverviewReader,
        loops: Sequence[ApiLoop] = (),
    ) -> None:
        """Reads the token files. Raises TokenFileError."""
        self._access = Access(read_clients(settings.tokens))
        self._backend = backend
        self._loops = [backend.tail.run, overview.run, *loops]
        self.server = HttpServer(
            settings, build_api([*_routers(view, backend, self._access, cursors), overview_router(overview, self._access), page_router()])
        )
        self.server.before_stop = backend.tail.close

    @property
    def url(self) -> str:
        """The URL for a client on this machine."""
        return self.server.url

    async def open(self) -> None:
        """Bind the port and listen. Raises Unavailable, with host and port, where that fails."""
        await self.server.open()
        self._access.beyond_loopback = self.server.beyond_loopback

    async def serve(self) -> None:
        """Answer until cancelled."""
        async with anyio.create_task_group() as group:
            for loop in self._loops:
                group.start_soon(loop)
            await self.server.serve()

    async def close(self) -> None:
        """Release the port. May be called at any time, and more than once."""
        await self.server.close()


def _routers(view: HealthView, backend: Backend, access: Access, cursors: Cursors) -> Sequence[APIRouter]:
    metrics: Metrics = backend.metrics
    return [
        health_router(view, metrics),
        task_router(backend, access),
        event_router(backend, access, cursors),
        dead_letter_router(backend, access),
        replica_router(backend, access),
    ]
