"""One call to the probe: whatever happens, each task gets an outcome.

Fetches new credentials when a call finds them expired. Decides nothing about a watch, and does not retry.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import anyio
import structlog

from watcher.core.hints import hint
from watcher.core.polling.circuits import CallCircuits
from watcher.errors import CredentialsRejected, RemoteError, Throttled, Unavailable, Unreadable
from watcher.model import Observation, TaskRef
from watcher.ports import Probe
from watcher.runtime.clock import Clock

log = structlog.get_logger("watcher.polling")

Outcome = Observation | RemoteError


class RemoteCalls:
    """The calls under one quota. `began` is in monotonic seconds."""

    def __init__(self, probe: Probe, circuits: CallCircuits, clock: Clock) -> None:
        self._probe = probe
        self._circuits = circuits
        self._clock = clock

    async def observe(self, refs: Sequence[TaskRef], began: float, until: float) -> tuple[Sequence[Outcome], RemoteError | None]:
        """The outcome of each task, and the error of the call as a whole. The call is given up at `until`, when the leases end."""
        try:
            outcomes = await (self._probe.observe(refs) if until == math.inf else self._observe_until(refs, until))
        except CredentialsRejected as error:
            await self._refresh(error, began, refs[0].target)
            return [error] * len(refs), error
        except RemoteError as error:
            return [error] * len(refs), error
        except Exception as error:
            log.exception("probe_raised_unexpectedly", error=type(error).__name__, hint="this is a bug in the probe: please report it")
            unreadable = Unreadable("defect", "the code that calls AWS failed")
            return [unreadable] * len(refs), unreadable
        failures = [outcome for outcome in outcomes if isinstance(outcome, RemoteError)]
        common = failures[0] if len(failures) == len(refs) else None
        return outcomes if isinstance(common, Throttled) else list(map(_of_one_task, outcomes)), common

    async def _observe_until(self, refs: Sequence[TaskRef], until: float) -> Sequence[Outcome]:
        if self._clock.mono() < until:  # else the process was suspended since it took the permit
            with anyio.CancelScope(deadline=until):
                return await self._probe.observe(refs)
        raise Unavailable("lease_ended")

    async def _refresh(self, error: CredentialsRejected, began: float, target: str) -> None:
        """Fetch new credentials once for each expiry, whichever call finds out first."""
        if not error.expired or not self._circuits.may_refresh(began):
            return
        try:
            await self._probe.refresh(target)
        except RemoteError as failure:
            log.warning("refresh_failed", code=failure.code, hint=hint(failure))
        self._circuits.refreshed(self._clock.mono())


def _of_one_task(outcome: Outcome) -> Outcome:
    """The outcome of a task in a call that was not throttled as a whole. A task that was throttled there backs off for itself: the
    pace does not slow down for it, so without a wait it would be polled with each call that the pace allows."""
    return Unavailable(outcome.code, "throttled in a call that was not") if isinstance(outcome, Throttled) else outcome
