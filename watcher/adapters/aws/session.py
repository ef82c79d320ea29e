"""One session and one client for each service, for every adapter that speaks to AWS.

The SDK is kept on a short lead: no retries of its own (one call is one wire request; backoff and pace are the
runtime's), bounded replies, no redirects, a deadline around each call. It is imported on first use, and warmed in a
thread, because its data files would block the loop for a tenth of a second. It may not wait, repeat or log.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from typing import Any, Literal

import anyio
import anyio.to_thread

from watcher import __version__
from watcher.adapters.aws.errors import reply_status, translate, unusable
from watcher.adapters.aws.timestamps import parse_timestamp
from watcher.errors import CredentialsRejected
from watcher.kinds import KINDS

CONNECT_TIMEOUT = 5.0
"""Seconds to a connection: a service within reach takes milliseconds."""

POLLED = frozenset(kind.service for kind in KINDS.values())
"""The services whose Get calls make up nearly all calls there are."""


class AwsClients:
    """Clients that live as long as this object. Makes nothing before the first use.

    `max_connections` is for each client. `call_deadline` bounds a call from the first byte out to the last byte in,
    in seconds. `clock` tells wall time, to be compared with the service's when it does not like a signature.
    `polls` says how the services are asked that know about tasks: see `AwsSettings.client`.
    AWS's own variables and files apply (`AWS_PROFILE`, `AWS_REGION`, `AWS_ENDPOINT_URL_SQS`, ...).
    """

    def __init__(
        self,
        *,
        max_connections: int = 50,
        call_deadline: float = 15.0,
        clock: Callable[[], float] = time.time,
        polls: Literal["direct", "plain"] = "direct",
    ) -> None:
        self.call_deadline = call_deadline
        self._max_connections = max_connections
        self._clock = clock
        self._direct = POLLED if polls == "direct" else frozenset()
        self._lock = anyio.Lock()
        self._session: Any = None
        self._clients: dict[tuple[str, float | None], Any] = {}
        self._stack = AsyncExitStack()
        self._retired = AsyncExitStack()
        """Clients of before the last refresh: calls in flight on them end by themselves."""

    async def call(
        self,
        service: str,
        operation: str,
        params: Mapping[str, Any],
        *,
        read_timeout: float | None = None,
        deadline: float | None = None,
    ) -> Any:
        """The reply to one call, `operation` as the client's method is named. Raises a `RemoteError` and nothing else.

        `read_timeout` is for calls that wait on purpose, such as a long poll, and adds to their deadline. All in seconds.
        """
        reply_status.set(None)
        if deadline is None:
            deadline = self.call_deadline + (read_timeout or 0.0)
        try:
            async with asyncio.timeout(deadline):  # half of what a cancel scope costs, and every poll pays it
                client = await self.client(service, read_timeout=read_timeout)
                return await getattr(client, operation)(**params)
        except Exception as error:  # noqa: BLE001 - garbage raises anything from inside the SDK; translate names it
            raise translate(error, now=self._clock(), status=reply_status.get()) from None

    async def client(self, service: str, *, read_timeout: float | None = None) -> Any:
        """The one client for this service and read timeout. Ask again for each call: after `refresh` it is another.

        Raises `CredentialsRejected` when none can be made, `Unavailable` when the source of credentials is out of reach.
        """
        key = (service, read_timeout)
        if key not in self._clients:
            async with self._lock:
                if key not in self._clients:
                    self._clients[key] = await self._open(service, read_timeout)
        return self._clients[key]

    async def _open(self, service: str, read_timeout: float | None) -> Any:
        try:
            session = await self._warm_session(service)
            config = _config(service, self._max_connections, self.call_deadline if read_timeout is None else read_timeout)
            client = await self._stack.enter_async_context(session.client(service, config=config))
        except Exception as error:  # noqa: BLE001 - whatever keeps a client from being made is a matter of the set-up
            raise unusable(error) from None
        if service in self._direct:
            _shorten(client)
        return client

    async def _warm_session(self, service: str | None = None) -> Any:
        def warm() -> Any:
            session = self._session or _new_session()
            if service is not None:
                _load_data(session, service)
            return session

        self._session = await anyio.to_thread.run_sync(warm)
        return self._session

    async def refresh(self) -> None:
        """Forget credentials and clients, and fetch credentials once. Raises `CredentialsRejected` when there are none."""
        async with self._lock:
            await self._retired.aclose()
            self._retired, self._stack = self._stack, AsyncExitStack()
            self._clients.clear()
            self._session = None
            try:
                with anyio.fail_after(self.call_deadline):
                    await _fetch_credentials(await self._warm_session())
            except Exception as error:  # noqa: BLE001 - providers raise whatever they trip over; unusable names it
                raise unusable(error) from None

    def region(self) -> str | None:
        """The Region in which calls are made, None when nothing says. Raises CredentialsRejected for a profile that cannot be read."""
        try:
            self._session = self._session or _new_session()
            name: str | None = self._session.region_name
        except Exception as error:  # noqa: BLE001 - providers raise whatever they trip over; unusable names it
            raise unusable(error) from None
        return name

    def region_required(self) -> str:
        """The Region, where nothing can be done without. Raises CredentialsRejected when nothing says it."""
        region = self.region()
        if region is None:
            raise CredentialsRejected("NoRegionError")
        return region

    async def close(self) -> None:
        """Close all connections. May be called twice; a client asked for later is a new one."""
        self._clients.clear()
        await self._stack.aclose()
        await self._retired.aclose()


def _new_session() -> Any:
    import aioboto3

    from watcher.adapters.aws import direct, guard  # noqa: F401 - what clients need next; imported here, in a thread, it stops no loop

    # botocore reads AWS_DEFAULT_REGION only; every other SDK of AWS, and its container platforms, say AWS_REGION
    session = aioboto3.Session(region_name=os.environ.get("AWS_REGION") or None)
    session._session.get_component("response_parser_factory").set_parser_defaults(timestamp_parser=parse_timestamp)
    return session


def _load_data(session: Any, service: str) -> None:
    loader = session._session.get_component("data_loader")
    for part in ("service-2", "endpoint-rule-set-1"):
        loader.load_service_model(service, part)
    for name in ("partitions", "endpoints", "sdk-default-configuration"):
        loader.load_data(name)


async def _fetch_credentials(session: Any) -> None:
    from botocore.exceptions import NoCredentialsError

    credentials = await session.get_credentials()
    if credentials is None:
        raise NoCredentialsError
    await credentials.get_frozen_credentials()


def _shorten(client: Any) -> None:
    from watcher.adapters.aws.direct import shorten

    shorten(client)


def _config(service: str, max_connections: int, read_timeout: float) -> Any:
    import aiobotocore
    from aiobotocore.config import AioConfig

    from watcher.adapters.aws.guard import guarded

    return AioConfig(
        # a mode is named because AWS_RETRY_MODE=adaptive would add a rate limiter of its own
        retries={"total_max_attempts": 1, "mode": "standard"},
        max_pool_connections=max_connections,
        connect_timeout=min(CONNECT_TIMEOUT, read_timeout),
        read_timeout=read_timeout,
        # whole and fixed: the SDK would put its own together anew for each call
        user_agent=f"speaker-search-watcher/{__version__} aiobotocore/{aiobotocore.__version__}",
        http_session_cls=guarded(service),
    )
