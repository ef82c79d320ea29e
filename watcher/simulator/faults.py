"""What can go wrong on purpose: one line for each fault, with what a watcher must make of it.

`status` and `code` are what the wire says. A fault without a code plays its trick with the bytes: `mischief.py` does that.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from watcher.errors import Busy, CredentialsRejected, Denied, Invalid, NotFound, RemoteError, Throttled, Unavailable, Unreadable


@dataclass(frozen=True, slots=True)
class Problem:
    """An answer that is no task. `error` is the class a watcher must raise for it; None: nothing is wrong with the answer."""

    meaning: str
    error: type[RemoteError] | None
    status: int = 200
    code: str = ""


THROTTLED = Problem("the request rate limit is exceeded", Throttled, 429, "ThrottledClientException")
BUSY = Problem("another request for this task is being answered", Busy, 409, "ConflictException")
NOT_FOUND = Problem("no such task", NotFound, 404, "NotFoundException")
DENIED = Problem("no permission for this operation", Denied, 403, "AccessDeniedException")
INVALID = Problem("the request does not fit the API", Invalid, 400, "BadRequestException")

HIDDEN = "404"
"""The one fault whose rate counts tasks, not calls: such a task is not found for its first while."""

FAULTS: Mapping[str, Problem] = {
    "429": THROTTLED,
    "throttling": Problem("throttled, in the words of other AWS services", Throttled, 400, "ThrottlingException"),
    "500": Problem("the service failed", Unavailable, 500, "ServiceFailureException"),
    "502": Problem("an HTML page of a load balancer", Unavailable, 502),
    "503": Problem("the service is unavailable", Unavailable, 503, "ServiceUnavailableException"),
    "conflict": BUSY,
    HIDDEN: Problem("share of tasks that are not found for their first while", NotFound, 404, "NotFoundException"),
    "403": DENIED,
    "401": Problem("the client is not authorized", CredentialsRejected, 401, "UnauthorizedClientException"),
    "expired": Problem("the security token included in the request is expired", CredentialsRejected, 403, "ExpiredTokenException"),
    "revoked": Problem("the security token included in the request is invalid", CredentialsRejected, 403, "UnrecognizedClientException"),
    "reset": Problem("the connection is reset before the reply", Unavailable),
    "hang": Problem("the reply never starts", Unavailable),
    "slow": Problem("the reply comes late", None),
    "drip": Problem("the body comes a byte a second", Unavailable),
    "half": Problem("the connection closes in the middle of the body", Unavailable),
    "redirect": Problem("a redirect to another host", Unreadable),
    "empty": Problem("200 with an empty body", Unreadable),
    "html": Problem("200 with an HTML page", Unreadable),
    "garbage": Problem("200 with JSON or bytes that are no task", Unreadable),
    "truncated": Problem("200 with JSON cut in the middle", Unreadable),
    "wrong-id": Problem("200 with another task", Unreadable),
    "huge": Problem("200 with 200 MiB", Unreadable),
    "stale": Problem("the task as it was a while ago", None),
}


def parse_faults(texts: Iterable[str]) -> dict[str, float]:
    """`["503=0.02", "reset=0.01"]` as rates between 0 and 1. Raises ValueError that names every fault there is."""
    rates: dict[str, float] = {}
    for text in texts:
        name, _, rate = text.partition("=")
        try:
            rates[name.strip()] = float(rate)
        except ValueError:
            raise ValueError(f"{text!r}: a fault is written NAME=RATE, such as 503=0.02") from None
    return checked(rates)


def checked(rates: Mapping[str, float]) -> dict[str, float]:
    """The same rates, if there is nothing wrong with them. Raises ValueError."""
    unknown = [name for name in rates if name not in FAULTS]
    if unknown:
        raise ValueError(f"no such fault: {', '.join(unknown)}. There are {', '.join(FAULTS)}")
    for name, rate in rates.items():
        if not math.isfinite(rate) or not 0 <= rate <= 1:
            raise ValueError(f"{name}={rate:g}: a rate is a share of calls between 0 and 1, such as 0.02")
    total = sum(rate for name, rate in rates.items() if name != HIDDEN)
    if total > 1 + 1e-9:
        raise ValueError(f"the rates add up to {total:g}: a call can go wrong in one way only, so at most 1")
    return dict(rates)


def pick(rates: Mapping[str, float], chance: float) -> str | None:
    """The fault that `chance`, uniform over 0..1, hits; None for none. The shares lie side by side in the order of the table."""
    edge = 0.0
    for name in FAULTS:
        edge += rates.get(name, 0.0) if name != HIDDEN else 0.0
        if chance < edge:
            return name
    return None
