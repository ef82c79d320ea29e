"""Where this process stands with AWS before any work is done: Region, identity, clock. For `watcher doctor`; never a secret."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit

import anyio.to_thread

from watcher.adapters.aws.session import AwsClients


@dataclass(frozen=True, slots=True)
class ServiceEndpoint:
    """Where calls to a service go."""

    region: str
    host: str
    offered: tuple[str, ...]
    """The Regions of this partition in which the SDK knows the service."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Who we are. `ahead_s` is our clock minus the service's in seconds; None: its reply did not say the time."""

    account: str
    name: str
    """Such as `role watcher`, without the session's own name."""
    ahead_s: float | None


async def endpoint_of(aws: AwsClients, service: str) -> ServiceEndpoint:
    """Where calls to this service go. Raises CredentialsRejected without a Region, or with a profile that cannot be read."""
    region = aws.region_required()
    offered = await anyio.to_thread.run_sync(_offered, region, service)
    client = await aws.client(service)
    return ServiceEndpoint(region, urlsplit(client.meta.endpoint_url).netloc, offered)


async def caller(aws: AwsClients, clock: Callable[[], float] = time.time) -> Caller:
    """Who STS says we are. Raises a RemoteError."""
    began = clock()
    reply = await aws.call("sts", "get_caller_identity", {})
    now = (began + clock()) / 2
    return Caller(str(reply.get("Account", "")), _name(str(reply.get("Arn", ""))), _ahead(reply, now))


def _offered(region: str, service: str) -> tuple[str, ...]:
    """From the data that the SDK ships; nothing where it does not even know the Region."""
    import botocore.session
    from botocore.exceptions import UnknownRegionError

    session = botocore.session.Session()
    try:
        partition = session.get_partition_for_region(region)
    except UnknownRegionError:
        partition = "aws"
    return tuple(session.get_available_regions(service, partition))


def _name(arn: str) -> str:
    """`arn:aws:sts::1:assumed-role/watcher/i-0abc` is `role watcher`; a session may be named after a person."""
    what, _, rest = arn.rpartition(":")[2].partition("/")
    if what == "assumed-role":
        return f"role {rest.partition('/')[0]}"
    return f"{what} {rest}".strip()


def _ahead(reply: Any, now: float) -> float | None:
    """A date in HTTP is a whole second, cut off: on average half a second has passed since."""
    written = reply.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("date", "")
    try:
        return now - parsedate_to_datetime(written).timestamp() - 0.5
    except (ValueError, TypeError, OverflowError, IndexError):
        return None
