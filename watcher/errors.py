"""The tree of named errors. The class decides what the runtime does next; no code reads the text of an error.

    WatcherError
    ├── ConfigMistakes              every mistake of a configuration, reported together   exit 78
    ├── InvalidInput                an input that names no task, with the reason          dead letter
    ├── PeerGone                    the reader of our output closed it                    exit 74
    ├── ApiError                    a request to the HTTP API of a watcher failed         exit by its reason
    ├── StoreError
    │   ├── StoreUnavailable        disk full, locked, connection lost: retry             not ready
    │   ├── StoreRefused            newer, corrupt, or owned by another process           exit 74
    │   │   └── StoreNotPrepared    not there yet, or older: the start of a watcher prepares it
    │   ├── SinksRemoved            events are left for sinks that are not configured     exit 78
    │   └── Fenced                  another replica owns these shards: drop them          keep running
    └── RemoteError                 a call to a remote service failed
        ├── Throttled               slow the shared pace; the task itself does not back off
        ├── Unavailable             back off; most calls failing opens a circuit
        ├── Busy                    another client is making a call about the same task
        ├── NotFound                grace period, then the watch ends
        ├── Denied                  a few tries, then the watch ends
        ├── Invalid                 no retry can help: the watch ends, an event becomes a dead letter
        ├── BatchFailed             a call about several tasks failed: poll each alone, or fewer together
        ├── CredentialsRejected     the setup of this process, never the task: opens the credentials circuit
        └── Unreadable              the reply is not a description of the task, or not of the service

The texts of these errors reach logs. Adapters put error codes and HTTP statuses into them, never bodies, personal
identifiers, or results.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence


class WatcherError(Exception):
    """Base class of every error that this package raises on purpose."""


class ConfigMistakes(WatcherError):
    """A configuration that cannot be used. `mistakes` holds one line for each mistake."""

    def __init__(self, mistakes: Sequence[str]) -> None:
        super().__init__("\n".join(mistakes))
        self.mistakes = tuple(mistakes)


class InvalidInput(WatcherError):
    """An input that names no task. `reason` is one of `core.intake.submissions.REASONS`."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


class PeerGone(WatcherError):
    """The reader of this process's output is gone, so no event can be delivered to it any more."""


class ApiError(WatcherError):
    """A command's request to the HTTP API of a running watcher failed.

    `reason` is one of `API_REASONS`. `retry_after` is the wait in seconds that the watcher requested, or None.
    """

    def __init__(self, reason: str, detail: str, *, retry_after: float | None = None) -> None:
        super().__init__(detail)
        self.reason = reason
        self.retry_after = retry_after


API_REASONS = frozenset(
    {"unreachable", "tls", "unauthorized", "forbidden", "not_found", "gone", "rejected", "busy", "failed", "redirect", "foreign"}
)
"""Why a request to the HTTP API failed: no connection, an untrusted certificate, the statuses 401, 403, 404, 410, other 4xx,
503, other 5xx, a redirect, or a reply that is not from a watcher."""


class StoreError(WatcherError):
    """The store could not carry out a call."""


class StoreUnavailable(StoreError):
    """A retry may succeed: disk full, locked for a moment, connection lost."""


class StoreRefused(StoreError):
    """No retry can help: a newer or corrupt file, a second owner, no permission."""


class StoreNotPrepared(StoreRefused):
    """There is no store yet, or migrations are missing. The start of a watcher would create or migrate it."""


class SinksRemoved(StoreError):
    """Sinks that are no longer configured still have events. `left` says what, in words, for each of their names."""

    def __init__(self, left: Mapping[str, str]) -> None:
        super().__init__(
            "\n".join(
                f'sinks: "{name}" is no longer configured, and the store has {what} for it;'
                f" configure it again under this name, or erase them: watcher run --drop-sink {name}"
                for name, what in left.items()
            )
        )
        self.left = dict(left)


class Fenced(StoreError):
    """A write under a lease that is no longer valid. Nothing was written; another replica owns `shards`."""

    def __init__(self, shards: Collection[int]) -> None:
        super().__init__(f"shards {sorted(shards)} are owned by another replica")
        self.shards = frozenset(shards)


class RemoteError(WatcherError):
    """A call to a remote service failed.

    `code` is the service's own error code where it has one (`ThrottledClientException`, `503`, `timeout`).
    `retry_after` is the wait in seconds that the service requested, or None.
    """

    reason = "remote"
    alone = False
    """The error makes a call about several tasks fail as a whole: poll this task alone until a poll of it succeeds."""
    oversized = False
    """The reply was too large, or did not come within the call deadline: a call about fewer tasks may succeed."""

    def __init__(self, code: str, detail: str = "", *, retry_after: float | None = None) -> None:
        super().__init__(f"{code}: {detail}" if detail else code)
        self.code = code
        self.detail = detail
        self.retry_after = retry_after

    def add_detail(self, detail: str) -> None:
        """Say in the text where the call failed. The code stays as it is."""
        self.detail = f"{self.detail}, {detail}" if self.detail else detail
        self.args = (f"{self.code}: {self.detail}",)


class Throttled(RemoteError):
    """Too many calls. Slows the pace that all tasks share."""

    reason = "throttled"


class Unavailable(RemoteError):
    """The service or the network failed, or the call timed out. Temporary."""

    reason = "unavailable"

    @classmethod
    def after_deadline(cls, detail: str = "") -> Unavailable:
        """The error of a call whose reply did not come in time."""
        error = cls("timeout", detail)
        error.oversized = True
        return error


class Busy(RemoteError):
    """The service allows one call per task at a time, and another client is making one (`ConflictException`)."""

    reason = "busy"


class NotFound(RemoteError):
    """The service does not know the resource: not yet, or no longer."""

    reason = "not_found"


class Denied(RemoteError):
    """The credentials are valid, but the permission is missing."""

    reason = "denied"


class Invalid(RemoteError):
    """The request is wrong; repeating it cannot succeed."""

    reason = "invalid"


class BatchFailed(RemoteError):
    """A call about several tasks failed as a whole, perhaps because of one of them. So it says nothing about a single task.

    `cause` is the error of the call. If the reply was too large, the same tasks may share smaller calls.
    """

    reason = "batch"

    def __init__(self, cause: RemoteError) -> None:
        super().__init__(cause.code, cause.detail, retry_after=cause.retry_after)
        self.cause = cause
        self.oversized = cause.oversized
        self.alone = not cause.oversized


class CredentialsRejected(RemoteError):
    """Credentials are missing, expired, or revoked, the signature is wrong, or the setup prevents sending a request.

    `expired` requests one forced refresh. `clock_skew_s` is the service's clock minus ours in seconds, where a
    signature error made the comparison possible. `unsent` means that no request was sent: trying again costs no call.
    """

    reason = "credentials"

    def __init__(
        self, code: str, detail: str = "", *, expired: bool = False, clock_skew_s: float | None = None, unsent: bool = False
    ) -> None:
        super().__init__(code, detail)
        self.expired = expired
        self.clock_skew_s = clock_skew_s
        self.unsent = unsent


class Unreadable(RemoteError):
    """A reply that describes no task: wrong shape, too large, garbage, or an unexpected exception.

    `foreign` means that something other than the service answered: a proxy, a mesh, a gateway, another endpoint. Such an
    answer says nothing about a task.

    `unsent` means that the AWS SDK has no such service or operation. Nothing was sent, so the error says nothing about the service,
    its other kinds, or the credentials. It is `foreign` too.
    """

    reason = "unreadable"

    def __init__(self, code: str, detail: str = "", *, foreign: bool = False, unsent: bool = False) -> None:
        super().__init__(code, detail)
        self.foreign = foreign or unsent
        self.unsent = unsent
