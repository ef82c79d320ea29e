"""Connects the HTTP API of a running watcher: its routes, its server, and the loops that they need."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from typing import Any

import anyio
import structlog

from watcher.api.access import Access, read_clients
from watcher.api.application import COMPONENTS, build_api
from watcher.api.asyncapi import asyncapi_router
from watcher.api.backend import Backend
from watcher.api.cursors import Cursors
from watcher.api.dead_letter_routes import dead_letter_router
from watcher.api.event_routes import event_router
from watcher.api.health_routes import health_router
from watcher.api.health_view import HealthView
from watcher.api.kind_routes import kind_router
from watcher.api.overview import OverviewReader, overview_router
from watcher.api.page.routes import page_router
from watcher.api.replica_routes import replica_router
from watcher.api.schemas import SCHEMAS
from watcher.api.server import HttpServer
from watcher.api.settings import ApiSettings
from watcher.api.task_routes import task_router
from watcher.core.delivery.event_schema import event_schemas
from watcher.kinds.form import KindForm
from watcher.ports import Store
from watcher.queries.poll_plan import PollSettings
from watcher.runtime.event_tail import EventTail
from watcher.runtime.service import Watcher
from watcher.runtime.settings import ServiceSettings

log = structlog.get_logger("watcher.api")

ApiLoop = Callable[[], Coroutine[Any, Any, None]]


def assemble_api(
    settings: ApiSettings,
    view: HealthView,
    watcher: Watcher,
    store: Store,
    service: ServiceSettings,
    wall: Callable[[], float],
    own_kinds: Sequence[KindForm] = (),
) -> HttpApi:
    """Return the HTTP API of a watcher that is not started yet. Reads the token files. Raises TokenFileError.

    `store` is the store of the watcher without its retries. `wall` returns seconds since the epoch.
    `own_kinds` are the kinds of the configuration, as it declares them.
    """
    handles, retention_s = watcher.handles, service.watch.retention
    cursors = Cursors(store, retention_s, wall)
    backend = Backend(
        store=store,
        admission=handles.admission,
        gate=handles.gate,
        loaded=handles.loaded,
        tail=EventTail(watcher.adapters.store, handles.feed, cursors.frame),
        catalog=service.catalog,
        metrics=watcher.metrics,
        polls=PollSettings(service.watch, service.cadence, granted=service.pace.rate is not None),
        scopes=service.scopes,
        max_readers=settings.max_readers,
        wall=wall,
        own_kinds=own_kinds,
    )
    access = Access(read_clients(settings.tokens))
    overview = OverviewReader(backend, watcher.health, watcher.loops.pollers)
    routers = [
        health_router(view, watcher.metrics),
        task_router(backend, access),
        event_router(backend, access, cursors),
        dead_letter_router(backend, access),
        replica_router(backend, access),
        kind_router(backend, access),
        overview_router(overview, access),
        asyncapi_router(service.catalog),
        page_router(),
    ]
    api = build_api(routers, {**SCHEMAS, **event_schemas(service.catalog, COMPONENTS)})
    return HttpApi(HttpServer(settings, api), access, backend.tail, [overview.run])


class HttpApi:
    """`open` binds the port, `serve` answers until cancelled, `close` releases the port."""

    def __init__(self, server: HttpServer, access: Access, tail: EventTail, loops: Sequence[ApiLoop] = ()) -> None:
        self.server = server
        self.server.before_stop = tail.close
        self.access = access
        self.loops = [tail.run, *loops]
        """The loops that run beside the server."""

    @property
    def url(self) -> str:
        """The URL for a client on this machine."""
        return self.server.url

    async def open(self) -> None:
        """Bind the port and listen. Raises Unavailable, with host and port, where that fails."""
        await self.server.open()
        self.access.beyond_loopback = self.server.beyond_loopback
        if self.access.closed:
            log.warning("api_without_tokens", address=self.server.address, hint="add api.tokens, or listen on 127.0.0.1")

    async def serve(self) -> None:
        """Answer until cancelled."""
        async with anyio.create_task_group() as group:
            for loop in self.loops:
                group.start_soon(loop)
            await self.server.serve()

    async def close(self) -> None:
        """Release the port. May be called at any time, and more than once."""
        await self.server.close()
