"""How the AWS SDK is set up, for `session`: one call is one HTTP request, replies are limited in size, redirects are refused.

Retries and pace belong to the runtime, so the SDK has none. Its modules and data files take a tenth of a second to load.
The functions import it, so that importing this module is cheap, and the caller chooses the thread.
"""

from __future__ import annotations

import os
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit

from watcher import __version__
from watcher.adapters.aws.client_limits import ClientLimits
from watcher.adapters.aws.timestamps import parse_timestamp

CONNECT_TIMEOUT = 5.0
"""Seconds to open a connection. A reachable service needs milliseconds."""

DEFAULT_PORTS = {"http": 80, "https": 443}

HELPER_SHARE = 0.8
"""The share of the deadline of a call that a `credential_process` may take. What is left is enough to name the cause."""


class Sessions:
    """Creates the sessions of this process, or those of a target.

    All of them share the loader of the data files: it keeps what it has loaded, 70 MB for the services of all kinds. `region`
    and `resolver` are those of a target. `resolver` is a component `credential_provider` of the SDK.
    """

    def __init__(self, call_deadline: float, *, region: str | None = None, resolver: Any = None, loader_of: Sessions | None = None) -> None:
        self._call_deadline = call_deadline
        self.region = region
        self._resolver = resolver
        self._loader_of = self if loader_of is None else loader_of
        self._loader: Any = None

    def of_target(self, region: str, resolver: Any) -> Sessions:
        """Return what creates the sessions of a target."""
        return Sessions(self._call_deadline, region=region, resolver=resolver, loader_of=self._loader_of)

    def create(self) -> Any:
        """Create a session, with files and variables as they are now."""
        import aioboto3

        from watcher.adapters.aws import guard  # noqa: F401 - every client needs it; importing it here keeps the import in this thread
        from watcher.adapters.aws.credentials import CheckedResolver

        # botocore reads only AWS_DEFAULT_REGION; the other AWS SDKs and AWS's container platforms use AWS_REGION
        session = aioboto3.Session(region_name=self.region or os.environ.get("AWS_REGION") or None)
        inner = session._session
        inner.get_component("response_parser_factory").set_parser_defaults(timestamp_parser=parse_timestamp)
        inner.register_component("credential_provider", self._resolver or CheckedResolver(inner, HELPER_SHARE * self._call_deadline))
        if self._loader_of._loader is None:
            self._loader_of._loader = inner.get_component("data_loader")
        inner.register_component("data_loader", self._loader_of._loader)
        return session


def load_data(session: Any, service: str) -> None:
    """Load the data files of a service, which the session keeps."""
    loader = session._session.get_component("data_loader")
    for part in ("service-2", "endpoint-rule-set-1"):
        loader.load_service_model(service, part)
    for name in ("partitions", "endpoints", "sdk-default-configuration"):
        loader.load_data(name)


async def fetch_credentials(session: Any) -> None:
    """Fetch the credentials of a session. Raises NoCredentialsError where there are none."""
    from botocore.exceptions import NoCredentialsError

    credentials = await session.get_credentials()
    if credentials is None:
        raise NoCredentialsError
    await credentials.get_frozen_credentials()


def client_config(read_timeout: float, limits: ClientLimits) -> Any:
    """The configuration of a client. `read_timeout` is in seconds."""
    import aiobotocore
    from aiobotocore.config import AioConfig

    from watcher.adapters.aws.guard import session_class

    return AioConfig(
        # the mode is explicit because AWS_RETRY_MODE=adaptive would add another rate limiter
        retries={"total_max_attempts": 1, "mode": "standard"},
        max_pool_connections=limits.connections,
        connect_timeout=min(CONNECT_TIMEOUT, read_timeout),
        read_timeout=read_timeout,
        # a fixed text: the SDK would otherwise assemble one for each call
        user_agent=f"speaker-search-watcher/{__version__} aiobotocore/{aiobotocore.__version__}",
        http_session_cls=session_class(limits.body),
    )


def sign_with_host(client: Any) -> None:
    """Give each request of a client its Host header before it is signed.

    The SDK signs this header in any case. If a request has none, the SDK parses the URL to build it, which costs more CPU time.
    """
    client.meta.events.register("before-sign", _add_host)


def _add_host(request: Any, **_: Any) -> None:
    if "Host" not in request.headers:  # a second assignment would add a second header
        end = request.url.find("/", len("https://"))
        request.headers["Host"] = host_header(request.url if end < 0 else request.url[:end])


@lru_cache(maxsize=64)
def host_header(origin: str) -> str:
    """The Host header for the origin of a URL: the host in lower case, without a user and without a default port."""
    parts = urlsplit(origin)
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else f"{parts.hostname}"
    return host if parts.port in (None, DEFAULT_PORTS.get(parts.scheme)) else f"{host}:{parts.port}"
