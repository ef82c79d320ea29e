"""What an error of a call about a task means, beyond what its code and status say. Such an error may end a watch. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from watcher.adapters.aws.codes import KNOWN
from watcher.errors import Busy, CredentialsRejected, Denied, Invalid, NotFound, RemoteError, Throttled, Unreadable

NotFoundRules = Mapping[str, re.Pattern[str] | None]
"""As `Kind.not_found`: error codes that mean "no such task", and what must be found in the message."""

XML_PROTOCOLS = frozenset(["query", "ec2"])
"""The protocols, as the SDK names them, of services whose model does not have all of their error codes. That of EC2 has none."""

LIKE_NOT_FOUND = re.compile(r"(NotFound|DoesNotExist)(Fault|Exception)?$")
"""The ends of codes of a polled service that mean "no such task", or that something does not exist to which the task belongs."""
_LIKE_THROTTLED = re.compile(r"LimitExceeded(Fault|Exception)?$")
"""The ends of codes that mean too many calls. A call that only reads exceeds no other limit."""


@dataclass(frozen=True, slots=True)
class PolledCall:
    """What must be known of a call about a task to name its error."""

    not_found: NotFoundRules = field(default_factory=dict)
    protocol: str | None = None
    """The protocol of the service, as the SDK names it; None if no client could be created."""

    def judge(self, named: RemoteError, code: str, response: Mapping[str, Any], *, documented: bool) -> RemoteError:
        """Return the error of a call about a task. `named` is what its code and status mean for any call.

        `documented` means that AWS documents the code for this service. `response` is the error as the SDK has parsed it.
        """
        meta = response.get("ResponseMetadata") or {}
        status = meta.get("HTTPStatusCode") or 0
        if self._means_not_found(code, str((response.get("Error") or {}).get("Message") or "")):
            return NotFound(code, f"HTTP {status}")
        says_own = isinstance(named, Busy | Denied | Invalid | NotFound) or (isinstance(named, CredentialsRejected) and code not in KNOWN)
        if says_own and not documented and not self._is_own(meta):
            return Unreadable(named.code, f"HTTP {status} with an error code that this service does not have", foreign=True)
        if isinstance(named, Invalid) and LIKE_NOT_FOUND.search(code):
            return NotFound(named.code, named.detail)
        if isinstance(named, Invalid) and _LIKE_THROTTLED.search(code):
            return Throttled(named.code, named.detail, retry_after=named.retry_after)
        return named

    def _means_not_found(self, code: str, message: str) -> bool:
        """Whether the kind of the task declares that an error with this code and message means "no such task"."""
        pattern = self.not_found.get(code)
        return code in self.not_found if pattern is None else pattern.search(message) is not None

    def _is_own(self, meta: Mapping[str, Any]) -> bool:
        """Whether an XML error has the id of a request, as those of AWS do and those of proxies do not."""
        return self.protocol in XML_PROTOCOLS and bool(meta.get("RequestId"))
