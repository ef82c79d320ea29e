"""Known bugs of the answers to task tokens. For `mutants.py`."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

import anyio

from tests.simulation.mutant import Mutant, assemble_with
from tests.simulation.sweep import MANY_WAIT_FOR_ONE
from watcher.errors import RemoteError
from watcher.kinds.kind import Kind
from watcher.model import DeadLetter, Event, Lease, Step, Submission, Watch
from watcher.ports import Delivered, Outcome, Rejected
from watcher.runtime import assembly
from watcher.runtime.admission import Admission
from watcher.runtime.service import Adapters, Watcher
from watcher.runtime.settlements import Settlements
from watcher.runtime.task_tokens import TaskTokens
from watcher.runtime.token_calls import TokenCalls


def answer_before_commit(adapters: Adapters, *args: Any, **options: Any) -> Watcher:
    """A watcher that answers the tokens of a task when it has seen its end, before it stores that."""
    watcher = assembly.assemble(adapters, *args, **options)
    outlet: Any = watcher.loops.pollers._factory._outlet
    commit = outlet.commit

    async def answer_and_commit(kind: Kind, steps: Sequence[Step], leases: Mapping[int, Lease]) -> Any:
        for step in steps:
            last = next((transition for transition in step.transitions if transition.terminal), None)
            tokens = (await adapters.store.task_tokens([step.watch.key])).get(step.watch.key) if last else None
            if last and tokens:
                event = outlet._writer.write(kind, step.watch, last, outlet._clock.wall())
                with suppress(RemoteError):
                    await adapters.sinks[-1].send([replace(event, task_tokens=tuple(tokens))])
        return await commit(kind, steps, leases)

    outlet.commit = answer_and_commit
    return watcher


class DropsBeforeAnswering(TokenCalls):
    async def _send(self, events: Sequence[Event]) -> Sequence[Outcome]:
        for event in events:
            if event.terminal:
                await self._store.drop_tokens({event.key: event.task_tokens})
        return await super()._send(events)


class ForgetsLateTokens(TaskTokens):
    """Answers no token that came after the end of its task."""

    async def _run_late(self) -> None:
        await anyio.sleep_forever()


class TakesAllAsAnswered(TokenCalls):
    """Takes each refused answer for the repetition of one that arrived."""

    def _decided(self, part: Event, outcome: Outcome, doubtful: set[tuple[str, str]]) -> Outcome:
        return Delivered() if isinstance(outcome, Rejected) else super()._decided(part, outcome, doubtful)


class ForgetsAttempts(TokenCalls):
    """Does not know of earlier attempts, one of which may have arrived."""

    def _decided(self, part: Event, outcome: Outcome, doubtful: set[tuple[str, str]]) -> Outcome:
        return super()._decided(part, outcome, set())


class ErasesOthers(Settlements):
    """Erases a dead letter when a late token of its task is answered."""

    def retry(self, event: Event, dead_letter: DeadLetter, *, stored: bool = True) -> None:
        super().retry(event, dead_letter)


class RepeatsHeartbeats(TokenCalls):
    """Repeats the heartbeat of an event for all tokens when it failed for one."""

    def _merged(self, event: Event, parts: Sequence[tuple[Event, Outcome]]) -> Outcome:
        merged = super()._merged(event, parts)
        self._beaten.clear()
        return merged


class ShowsTokens(Admission):
    """Puts a task token into the context of its watch, which is a part of each event."""

    def _new_watch(self, submission: Submission, now: float) -> Watch:
        return super()._new_watch(submission, now)._replace(context=json.dumps(submission.task_token))


TOKEN_MUTANTS: dict[str, Mutant] = {
    "a token is answered before COMMIT": Mutant(answer_before_commit, 5),
    "a token is dropped before its answer": Mutant(assemble_with(TokenCalls=DropsBeforeAnswering), 5),
    "late tokens are forgotten": Mutant(assemble_with(TaskTokens=ForgetsLateTokens), 5),
    "a refused token counts as answered": Mutant(assemble_with(TokenCalls=TakesAllAsAnswered), 23),
    "an answer whose reply was lost is a dead letter": Mutant(assemble_with(TokenCalls=ForgetsAttempts), 23),
    "an answer erases the dead letter of another token": Mutant(assemble_with(Settlements=ErasesOthers), 114),
    "a heartbeat is repeated for all tokens": Mutant(assemble_with(TokenCalls=RepeatsHeartbeats), MANY_WAIT_FOR_ONE),
    "a token in the events": Mutant(assemble_with(Admission=ShowsTokens), 5),
}
