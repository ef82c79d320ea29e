"""The simulated service as a probe, without sockets: for tests and benchmarks in virtual time.

Quota, faults and the limit of one call per task are those of the HTTP server. A fault that breaks the bytes of a reply
becomes the error that a reader of those bytes must raise.
"""

from __future__ import annotations

from collections.abc import Sequence

import anyio

from watcher.errors import CredentialsRejected, RemoteError, Unavailable
from watcher.model import Observation, TaskRef
from watcher.simulator.faults import FAULTS
from watcher.simulator.service import ApiReply, ApiRequest, VoiceService
from watcher.simulator.simulated_kinds import SIMULATED_KINDS


class SimulatedProbe:
    """Implements `ports.Probe` with a `VoiceService`. `deadline` limits a call, in seconds."""

    def __init__(self, service: VoiceService, deadline: float = 15.0) -> None:
        self.service = service
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
        """Observe each task. The simulated API has no batch call, so `refs` is one task."""
        return [await self.observe_one(ref) for ref in refs]

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
    error = reply.error or (FAULTS[reply.fault] if reply.fault else None)
    if error is not None and error.raises is not None:
        raise _remote_error(error.raises, reply.outcome)
    if reply.task is None:
        raise AssertionError("the reply to a Get must be a task or an error")
    return reply.task.observation(reply.as_of, now)


def _remote_error(error: type[RemoteError], code: str) -> RemoteError:
    if error is CredentialsRejected:
        return CredentialsRejected(code, expired=code == "ExpiredTokenException")
    return error(code)
