"""The attempts at a sink that answers task tokens: gives it the tokens that wait for each event, and drops those that are answered.

Answered before dropped: a crash between the two repeats an answer, which Step Functions refuses. So the store records before the first
attempt that an answer is under way, and a refusal of a repeated answer counts as its success.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace

import structlog

from watcher.errors import RemoteError
from watcher.model import Event, TaskTokens, shard_of
from watcher.ports import Delivered, Outcome, Rejected, Retry, Store, TokenSink
from watcher.runtime.instruments import Instruments
from watcher.runtime.sink_calls import SinkCalls

log = structlog.get_logger("watcher.delivery")

Place = tuple[str, str]
"""The key of a task, and a token."""


class TokenCalls(SinkCalls):
    """The attempts at one sink that answers task tokens."""

    def __init__(self, sink: TokenSink, store: Store, instruments: Instruments) -> None:
        super().__init__(sink, instruments)
        self._answering = sink
        self._store = store
        self._unanswered: set[Place] = set()
        """Tokens whose answer was begun by this process, and did certainly not arrive."""
        self._refused: dict[str, list[str]] = {}
        """By event id, tokens that are dropped when their event is settled, so that a crash before that repeats the refusal."""
        self._beaten: dict[str, set[str]] = {}
        """By id of an event that is not the last one, tokens that had its heartbeat in an attempt in which another token had not."""

    def adopt(self, shard: int) -> None:
        """Forget which answers of this shard did not arrive: its owner in the meantime may have answered."""
        self._unanswered = {place for place in self._unanswered if shard_of(place[0], self._store.shards) != shard}

    async def send(self, events: Sequence[Event]) -> Sequence[Outcome]:
        """The outcome of each event, with all of its tokens: a token that must be answered later makes it a Retry."""
        found = await self._store.task_tokens([event.key for event in events])
        parts = [part for event in events for part in _parts(event, found, self._beaten.get(event.id, ()))]
        given = [event for event in parts if event.task_tokens]
        last = [(event.key, token) for event in given if event.terminal for token in event.task_tokens]
        begun = _places(await self._store.begin_answers(_by_key(last))) if last else set()
        doubtful = begun - self._unanswered
        try:
            outcomes = await super().send(parts)
        except RemoteError as error:
            for event in given:  # the first one had the only call
                self._note(event, doubtful, Retry(error, called=event is given[0]))
            raise
        outcomes = [self._decided(part, outcome, doubtful) for part, outcome in zip(parts, outcomes, strict=True)]
        pairs = list(zip(parts, outcomes, strict=True))
        answered = [(part.key, token) for part, each in pairs if part.terminal and each == Delivered() for token in part.task_tokens]
        if answered:
            await self._store.drop_tokens(_by_key(answered))
            self._unanswered.difference_update(answered)
        return [self._merged(event, [(part, each) for part, each in pairs if part.id == event.id]) for event in events]

    async def settled(self, events: Sequence[Event]) -> None:
        """Drop the refused tokens of events that are dead letters now."""
        refused = [(event.key, token) for event in events for token in self._refused.pop(event.id, ())]
        if refused:
            await self._store.drop_tokens(_by_key(refused))
            self._unanswered.difference_update(refused)

    def _decided(self, part: Event, outcome: Outcome, doubtful: set[Place]) -> Outcome:
        """The outcome of one token, or of an event without one. A heartbeat that is refused is no dead letter: the answer may be."""
        if isinstance(outcome, Rejected) and not part.terminal:
            hint = "the execution probably does not wait any more; if it refuses the answer too, the last event becomes a dead letter"
            log.warning("task_token_refused", sink=self._answering.name, task=part.key, reason=outcome.reason, hint=hint)
            return Delivered()
        if isinstance(outcome, Retry):
            self._note(part, doubtful, outcome)
        if isinstance(outcome, Rejected) and doubtful.intersection(_answers(part)) and outcome.reason in self._answering.closed_reasons:
            hint = "an earlier answer probably arrived; if the execution timed out instead, its history shows it"
            log.warning("task_token_closed", task=part.key, reason=outcome.reason, hint=hint)
            return Delivered()
        return outcome

    def _note(self, part: Event, doubtful: set[Place], outcome: Retry) -> None:
        """Note of a failed attempt whether the answer may have arrived."""
        if outcome.called and self._answering.may_have_arrived(outcome.error):
            self._unanswered -= _answers(part)
        else:
            self._unanswered |= _answers(part) - doubtful

    def _merged(self, event: Event, parts: Sequence[tuple[Event, Outcome]]) -> Outcome:
        self._refused.pop(event.id, None)  # of an attempt that was not recorded
        if later := next((each for _, each in parts if isinstance(each, Retry)), None):
            if not event.terminal:  # else the more tokens there are, the less likely is an attempt in which all of them succeed
                self._beaten.setdefault(event.id, set()).update(
                    token for part, each in parts if each == Delivered() for token in part.task_tokens
                )
            return later
        self._beaten.pop(event.id, None)
        refused = [(part, each) for part, each in parts if isinstance(each, Rejected)]
        if not refused:
            return Delivered()
        self._refused[event.id] = [token for part, _ in refused for token in part.task_tokens]
        return refused[0][1]


def _parts(event: Event, tokens: TaskTokens, beaten: Collection[str]) -> list[Event]:
    """The event with each of the tokens alone that are not `beaten`, or without one."""
    return [replace(event, task_tokens=(token,)) for token in tokens.get(event.key, ()) if token not in beaten] or [event]


def _answers(part: Event) -> set[Place]:
    """The tokens that an event answers, with its task. None before the end."""
    return {(part.key, token) for token in part.task_tokens} if part.terminal else set()


def _places(tokens: TaskTokens) -> set[Place]:
    return {(key, token) for key, given in tokens.items() for token in given}


def _by_key(places: Iterable[Place]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for key, token in places:
        found.setdefault(key, []).append(token)
    return found
