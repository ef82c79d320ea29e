"""The endpoint, the identity and the clock difference of this process at AWS, for `watcher doctor`. Returns no secrets."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any
from urllib.parse import urlsplit

import anyio.to_thread

from watcher.adapters.aws.session import AwsClients
from watcher.adapters.http_headers import http_date


@dataclass(frozen=True, slots=True)
class ServiceEndpoint:
    """The endpoint for calls to a service."""

    region: str
    host: str
    offered: tuple[str, ...]
    """The Regions of this partition in which the SDK knows the service."""


@dataclass(frozen=True, slots=True)
class CallerIdentity:
    """The identity that signs our calls."""

    account: str
    name: str
    """For example `role watcher`, without the name of the role session."""
    ahead_s: float | None
    """This machine's clock minus the clock of AWS, in seconds. None if the reply had no date."""


async def service_endpoint(aws: AwsClients, service: str) -> ServiceEndpoint:
    """Return the endpoint of a service. Raises CredentialsRejected without a Region, or with an unreadable profile."""
    region = aws.region_required()
    client = await aws.client(service)
    offered = await anyio.to_thread.run_sync(_offered_regions, region, client.meta.service_model.endpoint_prefix)
    return ServiceEndpoint(region, urlsplit(client.meta.endpoint_url).netloc, offered)


async def caller_identity(aws: AwsClients, clock: Callable[[], float] = time.time) -> CallerIdentity:
    """Return the identity that STS reports. Raises a RemoteError."""
    sent_at = clock()
    reply = await aws.call("sts", "get_caller_identity", {})
    now = (sent_at + clock()) / 2
    return CallerIdentity(str(reply.get("Account", "")), _name(str(reply.get("Arn", ""))), _clock_ahead(reply, now))


def _offered_regions(region: str, prefix: str) -> tuple[str, ...]:
    """Read from the data files of the SDK, which know a service by the prefix of its endpoints. For an unknown Region: those of `aws`."""
    from botocore.exceptions import UnknownRegionError

    endpoints = _endpoints()
    try:
        partition = endpoints.get_partition_for_region(region)
    except UnknownRegionError:
        partition = "aws"
    return tuple(endpoints.get_available_endpoints(prefix, partition))


@cache
def _endpoints() -> Any:
    """What the SDK knows about endpoints. To read the file takes a twentieth of a second, and each target asks."""
    from botocore.regions import EndpointResolver
    from botocore.session import Session

    return EndpointResolver(Session().get_component("data_loader").load_data("endpoints"))


def _name(arn: str) -> str:
    """Return `role watcher` for `arn:aws:sts::1:assumed-role/watcher/i-0abc`. The session name is left out: it may be a person's."""
    resource_type, _, rest = arn.rpartition(":")[2].partition("/")
    if resource_type == "assumed-role":
        return f"role {rest.partition('/')[0]}"
    return f"{resource_type} {rest}".strip()


def _clock_ahead(reply: Any, now: float) -> float | None:
    """An HTTP date is truncated to whole seconds, so the reply was sent 0.5 s after it on average: hence the correction."""
    at = http_date(reply.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("date", ""))
    return None if at is None else now - at - 0.5
