"""Exit codes, after sysexits.h, and which error means which. One table for all commands."""

from __future__ import annotations

from collections.abc import Iterator

from watcher.core.hints import hint
from watcher.errors import ConfigMistakes, CredentialsRejected, Invalid, InvalidInput, PeerGone, RemoteError, StoreError

OK = 0
SOME_FAILED = 3
"""`watcher watch`: told of every task, and some did not succeed."""
USAGE = 64
UNAVAILABLE = 69
BUG = 70
IO = 74
TRY_AGAIN = 75
CONFIG = 78
INTERRUPTED = 130
TERMINATED = 143


def of(error: RemoteError) -> int:
    """Credentials, Regions and wrong names are set up by somebody; everything else may pass."""
    return CONFIG if isinstance(error, CredentialsRejected | Invalid) else UNAVAILABLE


def explain(error: BaseException) -> tuple[int, str]:
    """The exit code for what ended a command, and what to print. A bug has no words of its own: show its traceback."""
    for one in _flat(error):
        match one:
            case ConfigMistakes():
                return CONFIG, str(one)
            case StoreError():
                return IO, f"store: {one}"
            case InvalidInput():
                return USAGE, str(one)
            case RemoteError():
                return of(one), f"{one}: {hint(one)}"
            case PeerGone():
                return IO, str(one)
            case KeyboardInterrupt():
                return INTERRUPTED, ""
            case SystemExit(code=int(code)):  # a signal that came before the loop listened for it, out of a task group
                return code, ""
            case BrokenPipeError():
                return IO, ""
            case OSError():
                return IO, str(one)
    return BUG, ""


def _flat(error: BaseException) -> Iterator[BaseException]:
    """The errors inside groups, and this one if it is none."""
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from _flat(inner)
    else:
        yield error
