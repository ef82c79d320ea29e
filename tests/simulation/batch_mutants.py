"""Known bugs of calls about several tasks. For `mutants.py`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tests.simulation.mutant import Mutant, assemble_with
from tests.simulation.sweep import ALL_FAIL, MANY_IN_A_BATCH
from watcher.core.polling.pace import Permit
from watcher.core.polling.pending_entry import PendingEntry
from watcher.core.polling.schedule import Schedule
from watcher.core.polling.transitions import end
from watcher.errors import BatchFailed, Invalid, NotFound, RemoteError
from watcher.kinds.kind import Kind
from watcher.model import Observation, Step, TaskRef
from watcher.runtime.polling import Poller
from watcher.runtime.remote_calls import Outcome, RemoteCalls


class ShiftsOutcomes(RemoteCalls):
    """Gives each task of a call the outcome of the next one."""

    async def observe(self, refs: Sequence[TaskRef], began: float, until: float) -> tuple[Sequence[Outcome], RemoteError | None]:
        outcomes, error = await super().observe(refs, began, until)
        return [*outcomes[1:], *outcomes[:1]], error


class EndsMissingTasks(Poller):
    """Ends the watch of a task when it is not in a reply about several tasks for the first time."""

    def _decide(self, kind: Kind, entry: PendingEntry, outcome: Observation | RemoteError) -> Step:
        if kind.batch is not None and isinstance(outcome, NotFound):
            return end(entry.watch, "not_found", self._clock.wall())
        return super()._decide(kind, entry, outcome)


class EndsFailedBatches(Poller):
    """Takes the error of a call about several tasks for one of each task."""

    def _decide(self, kind: Kind, entry: PendingEntry, outcome: Observation | RemoteError) -> Step:
        return super()._decide(kind, entry, Invalid(outcome.code) if isinstance(outcome, BatchFailed) else outcome)


class MixesGroups(Poller):
    """Makes calls about any tasks of a kind."""

    def _outer(self, ref: TaskRef) -> tuple[str, ...]:
        return ()


class PaysForRiders(Schedule):
    """Takes a permit for each task of a call."""

    def take(self, now: float, limit: int = 1) -> tuple[list[PendingEntry], Permit] | None:
        taken = super().take(now, limit)
        for _ in taken[0][1:] if taken is not None else ():
            self.pace.take(now)
        return taken


class PaysForSingleTasks(Schedule):
    """Takes no permit for a call about several tasks."""

    def take(self, now: float, limit: int = 1) -> tuple[list[PendingEntry], Permit] | None:
        taken = super().take(now, limit)
        if taken is not None and len(taken[0]) > 1:
            self.pace._credit += 1.0
        return taken


class TakesOneMore(Schedule):
    """Makes calls about one task more than the service allows."""

    def take(self, now: float, limit: int = 1) -> tuple[list[PendingEntry], Permit] | None:
        return super().take(now, limit if limit == 1 else limit + 1)


class NeverAlone(Poller):
    """Polls a task that may make a call fail for all others with them again."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.pending.poll_alone = lambda key, *, alone: None  # type: ignore[method-assign]


BATCH_MUTANTS: dict[str, Mutant] = {
    "outcomes of a call for the wrong tasks": Mutant(assemble_with(RemoteCalls=ShiftsOutcomes), 0),
    "a task that a reply leaves out ends at once": Mutant(assemble_with(Poller=EndsMissingTasks), 6),
    "a failed call ends the watches of all its tasks": Mutant(assemble_with(Poller=EndsFailedBatches), 6),
    "a call about tasks of several groups": Mutant(assemble_with(Poller=MixesGroups), 0),
    "a call about too many tasks": Mutant(assemble_with(Schedule=TakesOneMore), 6),
    "a permit for each task of a call": Mutant(assemble_with(Schedule=PaysForRiders), MANY_IN_A_BATCH),
    "no permit for a call about several tasks": Mutant(assemble_with(Schedule=PaysForSingleTasks), 0),
    "a task that makes calls fail is never alone": Mutant(assemble_with(Poller=NeverAlone), ALL_FAIL),
}
