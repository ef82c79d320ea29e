"""One SDK session and one client for each service, shared by all adapters that call AWS.

Every call has a deadline and raises only named errors. After rejected credentials, all of the setup is read again: clients
live in generations, and calls in flight keep theirs. `sdk` configures the SDK. No retries and no logs here.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any

import anyio
import anyio.to_thread

from watcher.adapters.aws import sdk
from watcher.adapters.aws.client_limits import client_limits
from watcher.adapters.aws.errors import remote_error, reply_status, setup_error
from watcher.adapters.aws.polled_call import NotFoundRules, PolledCall
from watcher.adapters.aws.settings import TargetSettings
from watcher.errors import CredentialsRejected, RemoteError, Unreadable
from watcher.kinds.catalog import Catalog

REREAD_S = 5.0
"""After rejected credentials they are read again at most this often, in seconds. It takes a tenth of a second of a thread."""


class AwsClients:
    """The AWS clients of this process. Creates nothing before the first use.

    `max_connections` applies to each quota of a service. `call_deadline` limits a call from the first byte sent to the last byte
    received, in seconds. `clock` returns wall time in seconds since the epoch; it is compared with the service's clock
    after a signature error. `catalog` has the kinds whose tasks are polled: the replies of their services have a lower size
    limit. `endpoint_url` is for these services alone.
    AWS's own variables and files apply (`AWS_PROFILE`, `AWS_REGION`, `AWS_ENDPOINT_URL_SQS`, ...).
    """

    def __init__(
        self,
        *,
        max_connections: int = 50,
        call_deadline: float = 15.0,
        clock: Callable[[], float] = time.time,
        catalog: Catalog | None = None,
        sessions: sdk.Sessions | None = None,
        endpoint_url: str | None = None,
    ) -> None:
        self.call_deadline = call_deadline
        self._max_connections = max_connections
        self._clock = clock
        self._catalog = catalog
        self._polled_services = frozenset(() if catalog is None else catalog.services)
        self._sessions = sessions or sdk.Sessions(call_deadline)
        self._endpoint_url = endpoint_url
        self._lock = anyio.Lock()
        self._current = _Generation()
        self._retired: set[_Generation] = set()
        """Earlier generations that have calls in flight."""

    def for_target(self, target: TargetSettings, resolver: Any) -> AwsClients:
        """Return clients with the same limits for another target. `resolver` is a component of the SDK; None: its own."""
        return AwsClients(
            max_connections=self._max_connections,
            call_deadline=self.call_deadline,
            clock=self._clock,
            catalog=self._catalog,
            sessions=self._sessions.of_target(target.region, resolver),
            endpoint_url=target.endpoint_url,
        )

    async def call(
        self,
        service: str,
        operation: str,
        params: Mapping[str, Any],
        *,
        read_timeout: float | None = None,
        deadline: float | None = None,
        region: str | None = None,
        not_found: NotFoundRules | None = None,
    ) -> Any:
        """Make one call and return its reply. `operation` is the name of the client's method. Raises only `RemoteError`.

        `region` is for a resource that names its own Region; None: the configured one.

        `read_timeout` is for calls that wait on purpose, such as a long poll; it is added to the default deadline.
        Both are in seconds.

        `not_found` marks a call about a task, and has the error codes that mean "no such task" to its kind. The error of such
        a call may end a watch, so only the codes of the service itself count.
        """
        reply_status.set(None)
        if deadline is None:
            deadline = self.call_deadline + (read_timeout or 0.0)
        generation, protocol = self._current, None
        try:
            async with asyncio.timeout(deadline):  # half the cost of an anyio cancel scope; every poll runs this
                client = await self.client(service, read_timeout=read_timeout, region=region)
                generation = self._current
                generation.calls += 1
                protocol = client.meta.service_model.resolved_protocol
                try:
                    return await _method(client, operation)(**params)
                finally:
                    generation.calls -= 1
                    if not generation.calls and generation in self._retired:
                        await self._close(generation)
        except Exception as error:  # noqa: BLE001 - an unreadable reply raises anything from inside the SDK
            polled = None if not_found is None else PolledCall(not_found, protocol)
            named = remote_error(error, now=self._clock(), status=reply_status.get(), polled=polled)
            generation.rejected = generation.rejected or _rejects_setup(named)
            raise named from None

    async def client(self, service: str, *, read_timeout: float | None = None, region: str | None = None) -> Any:
        """Return the client for a service, a read timeout, and a Region other than the configured one.

        Do not keep it: `refresh` replaces all clients.

        Raises `CredentialsRejected` if it cannot be created, `Unavailable` if the source of credentials does not answer,
        `Unreadable` if the SDK does not have the service.
        """
        key = (service, read_timeout, region)
        if key not in self._current.clients or self._current.rejected:
            async with self._lock:
                if self._current.is_outdated():
                    await self._retire()
                if key not in self._current.clients:
                    self._current.clients[key] = await self._create_client(service, read_timeout, region)
        return self._current.clients[key]

    async def _create_client(self, service: str, read_timeout: float | None, region: str | None) -> Any:
        try:
            session = await self._load_session(service)
            timeout = self.call_deadline if read_timeout is None else read_timeout
            config = sdk.client_config(timeout, client_limits(service, self._catalog, self._max_connections))
            url = self._endpoint_url if service in self._polled_services else None
            opening = session.client(service, config=config, region_name=region, endpoint_url=url)
            client = await self._current.stack.enter_async_context(opening)
            sdk.sign_with_host(client)
        except Exception as error:  # noqa: BLE001 - botocore raises exceptions of many kinds for a wrong setup
            raise setup_error(error) from None
        return client

    async def _load_session(self, service: str | None = None) -> Any:
        """Create the session if there is none, and load the data files of a service, both in a worker thread.

        Otherwise the event loop would be blocked for a tenth of a second.
        """
        generation = self._current

        def load() -> Any:
            session = generation.session or self._sessions.create()
            if service is not None:
                sdk.load_data(session, service)
            return session

        generation.session = await anyio.to_thread.run_sync(load)
        return generation.session

    async def load(self, service: str) -> None:
        """Load the SDK and its data about a service, so that the first call does not spend its deadline on that. Reads no credentials.

        Raises what `client` raises.
        """
        try:
            await self._load_session(service)
        except Exception as error:  # noqa: BLE001 - botocore raises exceptions of many kinds for a wrong setup
            raise setup_error(error) from None

    async def refresh(self) -> None:
        """Drop credentials and clients, and fetch credentials again. Raises `CredentialsRejected` if there are none."""
        async with self._lock:
            await self._retire()
            try:
                with anyio.fail_after(self.call_deadline):
                    await sdk.fetch_credentials(await self._load_session())
            except Exception as error:  # noqa: BLE001 - credential providers raise exceptions of many kinds
                raise setup_error(error) from None

    async def _retire(self) -> None:
        """Begin a new generation. Calls in flight keep the old one open."""
        old, self._current = self._current, _Generation()
        if old.calls:
            self._retired.add(old)
        else:
            await self._close(old)

    async def _close(self, generation: _Generation) -> None:
        self._retired.discard(generation)
        generation.clients.clear()
        with anyio.CancelScope(shield=True):
            await generation.stack.aclose()

    def region(self) -> str | None:
        """Return the Region of all calls, or None if none is configured. Raises CredentialsRejected for an unreadable profile."""
        if self._sessions.region is not None:
            return self._sessions.region
        try:
            self._current.session = self._current.session or self._sessions.create()
            name: str | None = self._current.session.region_name
        except Exception as error:  # noqa: BLE001 - botocore raises exceptions of many kinds for a wrong setup
            raise setup_error(error) from None
        return name

    def region_required(self) -> str:
        """Return the Region of all calls. Raises CredentialsRejected if none is configured."""
        region = self.region()
        if region is None:
            raise CredentialsRejected("NoRegionError")
        return region

    async def close(self) -> None:
        """Close all connections. May be called twice. A later call opens new ones."""
        for generation in (self._current, *self._retired):
            await self._close(generation)


def _method(client: Any, operation: str) -> Any:
    """The method of a client. Raises Unreadable where the SDK has no such operation: other calls to the service are not affected."""
    method = getattr(client, operation, None)
    if method is None:
        raise Unreadable("no_operation", "the SDK has no such operation", unsent=True)
    return method


def _rejects_setup(error: RemoteError) -> bool:
    """Whether the credentials or the setup do not work. They do work if STS answered and refused the role of a target."""
    return isinstance(error, CredentialsRejected) and not (error.unsent and reply_status.get() is not None)


@dataclass(eq=False, slots=True)
class _Generation:
    """A session with its clients, which share credentials, endpoints, and certificates as they were read at its beginning."""

    session: Any = None
    clients: dict[tuple[str, float | None, str | None], Any] = field(default_factory=dict)
    stack: AsyncExitStack = field(default_factory=AsyncExitStack)
    calls: int = 0
    """Calls in flight."""
    rejected: bool = False
    """Its credentials or its setup were rejected."""
    began: float = field(default_factory=time.monotonic)

    def is_outdated(self) -> bool:
        """Whether to read credentials, files, and variables again, because those of this generation do not work."""
        return self.rejected and time.monotonic() - self.began >= REREAD_S
