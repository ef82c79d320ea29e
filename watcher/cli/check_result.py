"""One check of `watcher doctor`: runs within a time limit and reports a finding."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Literal

import anyio

from watcher.cli import exit_codes
from watcher.core.hints import hint
from watcher.errors import ConfigMistakes, RemoteError, StoreError

CHECK_S = 10.0
"""The longest time for one check, in seconds. All checks run at once, so this is about the time for all of them."""
CALL_S = 8.0
"""The longest time for one call, in seconds: shorter, so that the error of the call is reported and not the timeout of the check."""

Check = Callable[[], Awaitable[str]]
"""Returns what was found. Raises CheckFailed, CheckSkipped, or any error of a port."""


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of one check. `code` is the exit code that a failure causes."""

    check: str
    state: Literal["ok", "failed", "skipped"]
    seen: str
    hint: str = ""
    code: int = exit_codes.OK


class CheckFailed(Exception):
    """Something is wrong that a person can correct. `code` is the exit code."""

    def __init__(self, seen: str, hint: str, code: int = exit_codes.CONFIG) -> None:
        super().__init__(seen)
        self.seen, self.hint, self.code = seen, hint, code


class CheckSkipped(Exception):
    """There is nothing to check."""


async def run_check(name: str, check: Check, *, quota: str | None = None, kind: str | None = None) -> Finding:
    """Run one check for at most `CHECK_S`. `quota` is the title of the quota that a throttled call exceeds; `kind` is the name of the
    kind of a call about a task."""
    try:
        with anyio.fail_after(CHECK_S):
            return Finding(name, "ok", await check())
    except CheckSkipped as reason:
        return Finding(name, "skipped", str(reason))
    except CheckFailed as failure:
        return Finding(name, "failed", failure.seen, failure.hint, failure.code)
    except ConfigMistakes as error:
        return Finding(name, "failed", "; ".join(error.mistakes), "correct this variable of the environment", exit_codes.CONFIG)
    except RemoteError as error:
        return Finding(name, "failed", str(error), hint(error, quota=quota, kind=kind), exit_codes.of_remote(error))
    except StoreError as error:
        return Finding(name, "failed", str(error), "correct this first: the watcher cannot start with this store", exit_codes.UNAVAILABLE)
    except TimeoutError:
        advice = "check that it is reachable from this machine"
        return Finding(name, "failed", f"no answer within {CHECK_S:g} s", advice, exit_codes.UNAVAILABLE)
    except OSError as error:
        return Finding(name, "failed", str(error), "check the file, its directory and their permissions", exit_codes.UNAVAILABLE)
