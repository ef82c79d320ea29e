"""The simulated services as a probe, without sockets: for tests and benchmarks in virtual time.

Quota, faults and the limit of one call per task are those of the HTTP server. A fault that breaks the bytes of a reply
becomes the error that a reader of those bytes must raise.
"""

from __future__ import annotations

from collections.abc import Sequence

import anyio

from watcher.errors import CredentialsRejected, RemoteError, Unavailable
from watcher.model import Observation, TaskRef
from watcher.simulator.declared import DeclaredService
from watcher.simulator.faults import FAULTS, ServiceError
from watcher.simulator.service import ApiReply, ApiRequest, VoiceService
from watcher.simulator.simulated_kinds import SIMULATED_KINDS


class SimulatedProbe:
    """Implements `ports.Probe` with a `VoiceService`, and with `declared` for tasks of other kinds.

    `deadline` limits a call, in seconds.
    """

    def __init__(self, service: VoiceService, deadline: float = 15.0, declared: DeclaredService | None = None) -> None:
        self.service = service
        self.declared = declared
        self.deadline = deadline
        self.refreshes = 0
        """The number of calls of `refresh`."""

    async def open(self) -> None:
        """Do nothing: there is no connection."""

    async def close(self) -> None:
        """Do nothing: there is no connection."""

    async def check(self) -> str:
        """Return a description; the simulator is always reachable."""
        return f"the simulator, seed {self.service.scenario.seed}"

    async def refresh(self, target: str) -> None:
        """Count the call. Credentials that the scenario rejects stay rejected until it changes."""
        self.refreshes += 1

    async def observe(self, refs: Sequence[TaskRef]) -> Sequence[Observation | RemoteError]:
        """Make one call about tasks of one batch group. The voice service has no batch call, so its `refs` are one task."""
        if self.declared is None or refs[0].kind in SIMULATED_KINDS:
            return [await self.observe_one(ref) for ref in refs]
        call = self.declared.call(refs)
        with anyio.move_on_after(self.deadline):
            async with self.declared.handle(call) as reply:
                if reply.fault in ("hang", "drip"):
                    await anyio.sleep_forever()
                if (error := _error(reply.error, reply.fault)) is not None:
                    raise _remote_error(error, reply.outcome)
                return self.declared.outcomes(call, reply)
        raise Unavailable.after_deadline()

    async def observe_one(self, ref: TaskRef) -> Observation:
        """Make one call to the service. Raises the `RemoteError` that fits its reply."""
        connector, task_id = ref.params
        request = ApiRequest("Get", SIMULATED_KINDS[ref.kind], connector, task_id)
        with anyio.move_on_after(self.deadline):
            async with self.service.handle(request) as reply:
                if reply.fault in ("hang", "drip"):
                    await anyio.sleep_forever()
                return _read(reply, self.service.clock())
        raise Unavailable("timeout")


def _read(reply: ApiReply, now: float) -> Observation:
    if (error := _error(reply.error, reply.fault)) is not None:
        raise _remote_error(error, reply.outcome)
    if reply.task is None:
        raise AssertionError("the reply to a Get must be a task or an error")
    return reply.task.observation(reply.as_of, now)


def _error(error: ServiceError | None, fault: str | None) -> type[RemoteError] | None:
    """Return the error that a client must raise for a reply; None: it has a valid task."""
    shown = error or (FAULTS[fault] if fault else None)
    return None if shown is None else shown.raises


def _remote_error(error: type[RemoteError], code: str) -> RemoteError:
    if error is CredentialsRejected:
        return CredentialsRejected(code, expired=code == "ExpiredTokenException")
    return error(code)
