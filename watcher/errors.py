"""The tree of named errors. The class says what the runtime does next; nothing is read from the text.

    WatcherError
    ├── ConfigMistakes              every mistake of a configuration at once          exit 78
    ├── InvalidInput                    an input that is no task, with its reason         dead letter
    ├── PeerGone                    nobody reads our stdout any more                  exit 74
    ├── StoreError
    │   ├── StoreUnavailable        disk full, locked, connection lost: again         not ready
    │   └── StoreRefused            newer, corrupt or owned by another process        exit 74
    └── RemoteError                 asking the world went wrong
        ├── Throttled               the shared pace slows, the task pays nothing
        ├── Unavailable             back off; when it is most calls, the circuit opens
        ├── Busy                    somebody else is asking about this very task
        ├── NotFound                grace, then the watch ends
        ├── Denied                  a few tries, then the watch ends
        ├── Invalid                 cannot heal: the watch ends, the event is a dead letter
        ├── CredentialsRejected     never the task's fault: the credential circuit opens
        └── Unreadable              a reply that is not what was asked for

The texts of these errors reach logs: adapters put error codes and HTTP statuses into them, never bodies,
identifiers of persons or results.
"""

from __future__ import annotations

from collections.abc import Sequence


class WatcherError(Exception):
    """Anything this package raises on purpose."""


class ConfigMistakes(WatcherError):
    """A configuration that cannot be used. `mistakes` holds one line for each thing to mend."""

    def __init__(self, mistakes: Sequence[str]) -> None:
        super().__init__("\n".join(mistakes))
        self.mistakes = tuple(mistakes)


class InvalidInput(WatcherError):
    """An input from which no task could be made. `reason` is one of `core.intake.REASONS`."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


class PeerGone(WatcherError):
    """What this process was started to tell cannot be told by it any more: its reader is gone for good."""


class StoreError(WatcherError):
    """The store could not do what it was asked to."""


class StoreUnavailable(StoreError):
    """It may work again by itself: disk full, locked for a moment, connection lost."""


class StoreRefused(StoreError):
    """It cannot heal by waiting: a newer or corrupt file, a second owner, no permission."""


class RemoteError(WatcherError):
    """A call to the outside world did not give what was asked for.

    `code` is the service's own word where it has one (`ThrottledClientException`, `503`, `timeout`).
    `retry_after` is in seconds where the service said so.
    """

    reason = "remote"

    def __init__(self, code: str, detail: str = "", *, retry_after: float | None = None) -> None:
        super().__init__(f"{code}: {detail}" if detail else code)
        self.code = code
        self.detail = detail
        self.retry_after = retry_after


class Throttled(RemoteError):
    """Too many calls. Moves the pace shared by all tasks."""

    reason = "throttled"


class Unavailable(RemoteError):
    """The service, the network or a time-out. Passes by itself."""

    reason = "unavailable"


class Busy(RemoteError):
    """One call per task is the service's own limit, and somebody holds it (`ConflictException`)."""

    reason = "busy"


class NotFound(RemoteError):
    """The service does not know it (yet, or any more)."""

    reason = "not_found"


class Denied(RemoteError):
    """The credentials are good, the permission is missing."""

    reason = "denied"


class Invalid(RemoteError):
    """The request cannot heal by being repeated."""

    reason = "invalid"


class CredentialsRejected(RemoteError):
    """Missing, expired, revoked or wrongly signed credentials.

    `expired` asks for one forced refresh. `clock_skew_s` is the service's clock minus ours in seconds,
    where a signature error let us compare them.
    """

    reason = "credentials"

    def __init__(self, code: str, detail: str = "", *, expired: bool = False, clock_skew_s: float | None = None) -> None:
        super().__init__(code, detail)
        self.expired = expired
        self.clock_skew_s = clock_skew_s


class Unreadable(RemoteError):
    """A reply that is no task: wrong shape, too large, garbage, or an exception nobody foresaw."""

    reason = "unreadable"
