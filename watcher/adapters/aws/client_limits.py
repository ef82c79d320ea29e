"""How many connections a client of a service may open, and how large one of its replies may be. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from watcher.kinds.catalog import Catalog

MIB = 1 << 20
SQS_BODY = 32 * MIB
"""Bytes of one reply of SQS: ten messages of 1 MiB, and JSON doubles each quotation mark. With a lower limit a queue of
large messages could never be emptied."""
POLLED_BODY = MIB
"""Bytes of one reply of a polled service. A task with its results has a few KiB."""
TASK_BODY = 128 << 10
"""Bytes of each task in a reply about several, such as that of AWS Batch with the containers of all attempts."""
OTHER_BODY = 4 * MIB
"""Bytes of one reply of any other service."""
LEAST_CONNECTIONS = 10
"""The lowest number of connections to a service that sources and sinks call, even if fewer calls about tasks may be in flight."""


@dataclass(frozen=True, slots=True)
class ClientLimits:
    """The limits of one client."""

    connections: int
    body: int
    """In bytes."""


def client_limits(service: str, catalog: Catalog | None, max_connections: int) -> ClientLimits:
    """Return the limits of a client. `max_connections` is the number of calls in flight for each quota of a polled service."""
    kinds = [kind for kind in catalog or () if kind.service == service]
    if not kinds:
        return ClientLimits(max(max_connections, LEAST_CONNECTIONS), SQS_BODY if service == "sqs" else OTHER_BODY)
    quotas = {kind.quota.name for kind in kinds}
    largest = max(kind.batch_size for kind in kinds)
    body = SQS_BODY if service == "sqs" else max(POLLED_BODY, largest * TASK_BODY)
    return ClientLimits(max_connections * len(quotas), body)
