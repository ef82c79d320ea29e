"""The simulated service as a probe, without sockets: for tests and benchmarks on virtual time, and for trying a cadence.

Same quota, same faults, same one call per task as through the server; what only bytes can show is told by the error
that a reader of those bytes must raise.
"""

from __future__ import annotations

import anyio

from watcher.errors import CredentialsRejected, RemoteError, Unavailable
from watcher.kinds import KINDS
from watcher.model import Observation, TaskRef
from watcher.simulator.faults import FAULTS, Problem
from watcher.simulator.service import Answer, Request, Service


class SimulatedProbe:
    """Implements `ports.Probe` over a `Service`. `deadline` bounds a call, in seconds."""

    def __init__(self, service: Service, deadline: float = 15.0) -> None:
        self.service = service
        self.deadline = deadline
        self.refreshes = 0
        """How often fresh credentials were asked for."""

    async def open(self) -> None:
        """Nothing to open."""

    async def close(self) -> None:
        """Nothing to close."""

    async def check(self) -> str:
        """Always there."""
        return f"the simulator, seed {self.service.scenario.seed}"

    async def refresh(self) -> None:
        """Counted; what the simulator refuses stays refused until the scenario changes."""
        self.refreshes += 1

    async def observe(self, ref: TaskRef) -> Observation:
        """One call to the service. Raises the `RemoteError` that fits its answer."""
        request = Request("Get", KINDS[ref.kind], ref.params[0], ref.params[1])
        with anyio.move_on_after(self.deadline):
            async with self.service.ask(request) as answer:
                if answer.fault in ("hang", "drip"):
                    await anyio.sleep_forever()
                return self._read(answer)
        raise Unavailable("timeout")

    def _read(self, answer: Answer) -> Observation:
        problem = answer.problem or (FAULTS[answer.fault] if answer.fault else None)
        if problem is not None and problem.error is not None:
            raise _error(problem, answer.outcome)
        if answer.life is None:
            raise AssertionError("an answer to a Get is a task or a problem")
        return answer.life.observation(answer.as_of, self.service.clock())


def _error(problem: Problem, code: str) -> RemoteError:
    if problem.error is CredentialsRejected:
        return CredentialsRejected(code, expired=code == "ExpiredTokenException")
    return (problem.error or RemoteError)(code)
