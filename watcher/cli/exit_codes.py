"""Exit codes, after sysexits.h, and the code of each error: the same for all commands."""

from __future__ import annotations

from collections.abc import Iterator

from watcher.core.hints import hint
from watcher.errors import (
    ApiError,
    ConfigMistakes,
    CredentialsRejected,
    Invalid,
    InvalidInput,
    PeerGone,
    RemoteError,
    SinksRemoved,
    StoreError,
)

OK = 0
SOME_FAILED = 3
"""`watcher watch`: the end of every task is known, and some did not succeed."""
USAGE = 64
UNAVAILABLE = 69
BUG = 70
IO = 74
TRY_AGAIN = 75
CONFIG = 78
INTERRUPTED = 130
TERMINATED = 143


def of_remote(error: RemoteError) -> int:
    """CONFIG for what a person must change (credentials, Region, names), UNAVAILABLE for what may pass."""
    return CONFIG if isinstance(error, CredentialsRejected | Invalid) else UNAVAILABLE


def of_api(error: ApiError) -> int:
    """Return CONFIG for a wrong setup, USAGE for a request that cannot succeed, TRY_AGAIN or UNAVAILABLE for a temporary cause."""
    match error.reason:
        case "unauthorized" | "forbidden" | "tls" | "redirect":
            return CONFIG
        case "rejected" | "gone":
            return USAGE
        case "busy":
            return TRY_AGAIN
    return UNAVAILABLE


def describe(error: BaseException) -> tuple[int, str]:
    """Return the exit code for the exception that ended a command, and the message to print. A bug has no message."""
    for one in _flatten(error):
        match one:
            case ConfigMistakes():
                return CONFIG, str(one)
            case SinksRemoved():
                return CONFIG, str(one)
            case ApiError():
                from watcher.cli.api_advice import advice

                return of_api(one), f"{one}. {advice(one)}"
            case StoreError():
                return IO, f"store: {one}"
            case InvalidInput():
                return USAGE, str(one)
            case RemoteError():
                return of_remote(one), f"{one}: {hint(one)}"
            case PeerGone():
                return IO, str(one)
            case KeyboardInterrupt():
                return INTERRUPTED, ""
            case SystemExit(code=int(code)):  # a signal before its receiver was set up, raised out of a task group
                return code, ""
            case BrokenPipeError():
                return IO, ""
            case OSError():
                return IO, str(one)
    return BUG, ""


def _flatten(error: BaseException) -> Iterator[BaseException]:
    """Yield the errors inside a group, or the error itself."""
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from _flatten(inner)
    else:
        yield error
