"""The faults that a scenario can inject: what the service replies, and the error that a client must raise for it.

`status` and `code` are what a client reads. A fault without a code and with status 200 breaks the bytes of a reply instead:
`wire_faults.py` does that.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from watcher.errors import Busy, CredentialsRejected, Denied, Invalid, NotFound, RemoteError, Throttled, Unavailable, Unreadable


@dataclass(frozen=True, slots=True)
class ServiceError:
    """A reply that carries no valid task. `raises` is the error that a client must raise for it; None: the task is valid."""

    meaning: str
    raises: type[RemoteError] | None
    status: int = 200
    code: str = ""


THROTTLED = ServiceError("the request rate limit is exceeded", Throttled, 429, "ThrottledClientException")
BUSY = ServiceError("the service is processing another request for this task", Busy, 409, "ConflictException")
NOT_FOUND = ServiceError("the task does not exist", NotFound, 404, "NotFoundException")
DENIED = ServiceError("the caller has no permission for this operation", Denied, 403, "AccessDeniedException")
INVALID = ServiceError("the request does not match the API model", Invalid, 400, "BadRequestException")

HIDDEN = "404"
"""The only fault whose rate is a share of tasks, not of calls: such a task is not found for the first `Scenario.hidden` seconds."""

FAULTS: Mapping[str, ServiceError] = {
    "429": THROTTLED,
    "throttling": ServiceError("throttled, with the error code of other AWS services", Throttled, 400, "ThrottlingException"),
    "500": ServiceError("the service failed", Unavailable, 500, "ServiceFailureException"),
    "502": ServiceError("an HTML page of a load balancer", Unavailable, 502),
    "503": ServiceError("the service is unavailable", Unavailable, 503, "ServiceUnavailableException"),
    "conflict": BUSY,
    HIDDEN: ServiceError("the task is not found at first", NotFound, 404, "NotFoundException"),
    "403": DENIED,
    "401": ServiceError("the client is not authorized", CredentialsRejected, 401, "UnauthorizedClientException"),
    "expired": ServiceError("the security token included in the request is expired", CredentialsRejected, 403, "ExpiredTokenException"),
    "revoked": ServiceError(
        "the security token included in the request is invalid", CredentialsRejected, 403, "UnrecognizedClientException"
    ),
    "reset": ServiceError("a TCP reset before the reply", Unavailable),
    "hang": ServiceError("a reply that never starts", Unavailable),
    "slow": ServiceError("a reply that is late by `Scenario.slow` seconds", None),
    "drip": ServiceError("a body at one byte per second", Unavailable),
    "half": ServiceError("a connection that closes in the middle of the body", Unavailable),
    "redirect": ServiceError("a redirect to another host", Unreadable),
    "empty": ServiceError("status 200 with an empty body", Unreadable),
    "html": ServiceError("status 200 with an HTML page", Unreadable),
    "garbage": ServiceError("status 200 with a body that is not a task", Unreadable),
    "truncated": ServiceError("status 200 with incomplete JSON", Unreadable),
    "wrong-id": ServiceError("status 200 with another task", Unreadable),
    "huge": ServiceError("status 200 with a body of 200 MiB", Unreadable),
    "stale": ServiceError("the task as it was `Scenario.stale` seconds ago", None),
}


def parse_faults(texts: Iterable[str]) -> dict[str, float]:
    """Read `["503=0.02", "reset=0.01"]` as rates between 0 and 1. Raises ValueError that lists the known faults."""
    rates: dict[str, float] = {}
    for text in texts:
        name, _, rate = text.partition("=")
        try:
            rates[name.strip()] = float(rate)
        except ValueError:
            raise ValueError(f"{text!r}: write a fault as NAME=RATE, such as 503=0.02") from None
    return check_rates(rates)


def check_rates(rates: Mapping[str, float]) -> dict[str, float]:
    """Return the rates in the order of `FAULTS`. Raises ValueError for an unknown fault or a rate that is not a share."""
    unknown = [name for name in rates if name not in FAULTS]
    if unknown:
        raise ValueError(f"unknown fault: {', '.join(unknown)}. Known faults: {', '.join(FAULTS)}")
    for name, rate in rates.items():
        if not math.isfinite(rate) or not 0 <= rate <= 1:
            raise ValueError(f"{name}={rate:g}: a rate is a share of calls between 0 and 1, such as 0.02")
    total = sum(rate for name, rate in rates.items() if name != HIDDEN)
    if total > 1 + 1e-9:
        raise ValueError(f"the rates add up to {total:g}: a call has at most one fault, so reduce them to a sum of at most 1")
    return {name: rates[name] for name in FAULTS if name in rates}


def pick_fault(rates: Mapping[str, float], chance: float) -> str | None:
    """Return the fault that `chance`, uniform over 0..1, selects; None: no fault. Each rate is a share of that interval, in order."""
    edge = 0.0
    for name, rate in rates.items():
        if name != HIDDEN:
            edge += rate
            if chance < edge:
                return name
    return None
