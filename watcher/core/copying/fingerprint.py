"""What a store holds, as counts and digests, to tell whether two stores have the same content.

Positions and epochs are not compared: each store gives its own. The order is compared where it has a meaning: watches by
admission, events within each shard of the target, dead letters by time.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b

from watcher.model import DeadLetter, StoredEvent, TaskTokens, Watch, shard_of

_DIGEST_BYTES = 16


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """The content of a store. Two stores with an equal fingerprint have the same content."""

    watches: int = 0
    open: int = 0
    """Of the watches."""
    events: int = 0
    undelivered: Mapping[str, int] = field(default_factory=dict)
    """By sink, the events that it has not settled. Every sink is there."""
    dead_letters: int = 0
    states: int = 0
    digests: Mapping[str, str] = field(default_factory=dict)
    """By part of the content."""

    @property
    def id(self) -> str:
        """A short text that identifies the content."""
        whole = blake2b(digest_size=_DIGEST_BYTES)
        _take(whole, [self.watches, self.events, self.dead_letters, *sorted(self.digests.items())])
        return whole.hexdigest()

    def differences(self, other: Fingerprint) -> list[str]:
        """What differs, in words, with the numbers of this content and the other one."""
        numbers = [
            ("tasks", self.watches, other.watches),
            ("open tasks", self.open, other.open),
            ("events", self.events, other.events),
            *((f"undelivered events of sink {sink}", *pair) for sink, pair in _pairs(self.undelivered, other.undelivered)),
            ("dead letters", self.dead_letters, other.dead_letters),
            ("learned texts", self.states, other.states),
        ]
        found = [f"{name}: {mine} and {its}" for name, mine, its in numbers if mine != its]
        parts = [name for name, (mine, its) in _pairs(self.digests, other.digests) if mine != its]
        return found or [f"the content of {name}" for name in dict.fromkeys(name.partition(" in ")[0] for name in parts)]


class FingerprintBuilder:
    """Takes in the content of a store while it is read, in bounded memory. `shards` is the number of shards of the target."""

    def __init__(self, sinks: Iterable[str], shards: int) -> None:
        self._shards = shards
        self._watches = self._open = self._events = self._dead_letters = self._states = 0
        self._undelivered = Counter[str]()
        self._sinks = sorted(sinks)
        self._digests: dict[str, blake2b] = {}

    def add_watches(self, watches: Sequence[Watch]) -> None:
        """Take in watches, in order of admission."""
        digest = self._digest("tasks")
        for watch in watches:
            _take(digest, _fields(watch))
        self._watches += len(watches)
        self._open += sum(watch.open for watch in watches)

    def add_task_tokens(self, tokens: TaskTokens) -> None:
        """Take in the task tokens of watches that were taken in last. Without any, a copy of an earlier version can continue."""
        if tokens:
            _take(self._digest("task tokens"), sorted((key, list(given)) for key, given in tokens.items()))

    def add_events(self, events: Sequence[StoredEvent]) -> None:
        """Take in events, in order of position within each shard."""
        for stored in events:
            event = stored.event
            digest = self._digest(f"events in {shard_of(event.key, self._shards)}")
            facts = [event.id, event.key, event.kind, str(event.type), event.to, bool(event.terminal), float(event.at), event.body]
            _take(digest, [*facts, sorted(stored.unsettled)])
            self._undelivered.update(stored.unsettled)
        self._events += len(events)

    def add_dead_letter(self, letter: DeadLetter, event_id: str | None) -> None:
        """Take in a dead letter, in order of time. `event_id` is that of its event, if the store still has it."""
        facts = [letter.id, letter.what, letter.origin, letter.reason, letter.detail, letter.body, float(letter.at), letter.key]
        _take(self._digest("dead letters"), [*facts, letter.tries, bool(letter.retry), event_id])
        self._dead_letters += 1

    def add_states(self, states: Mapping[str, str]) -> None:
        """Take in texts by name."""
        _take(self._digest("learned texts"), sorted(states.items()))
        self._states += len(states)

    def add_cancelled(self, keys: Sequence[str]) -> None:
        """Take in the keys of cancelled watches, in order of admission."""
        if keys:
            _take(self._digest("cancellations"), keys)

    def result(self) -> Fingerprint:
        """The fingerprint of what was taken in."""
        digests = {name: digest.hexdigest() for name, digest in self._digests.items()}
        undelivered = {sink: self._undelivered[sink] for sink in self._sinks}
        return Fingerprint(self._watches, self._open, self._events, undelivered, self._dead_letters, self._states, digests)

    def _digest(self, name: str) -> blake2b:
        if name not in self._digests:
            self._digests[name] = blake2b(digest_size=_DIGEST_BYTES)
        return self._digests[name]


def _fields(watch: Watch) -> list[object]:
    """The stored fields. Times as floats, because a store may turn a whole number into one."""
    times = (watch.admitted_at, watch.deadline_at, watch.status_since, watch.changed_at, watch.created_at, watch.started_at)
    texts = (
        watch.ref.kind,
        watch.ref.params,
        watch.ref.target,
        watch.id,
        watch.context,
        watch.status,
        watch.result_digest,
        watch.end_reason,
    )
    numbers = (watch.sequence, watch.polls)
    trace = () if watch.trace is None else (watch.trace,)  # left out if None: a copy of an earlier version can continue
    return [*texts, *numbers, *(None if at is None else float(at) for at in (*times, watch.updated_at, watch.ended_at)), *trace]


def _take(digest: blake2b, facts: Sequence[object]) -> None:
    """Add facts to a digest. Their Python literal tells any two lists of texts, bytes, and numbers apart."""
    digest.update(repr(facts).encode("utf-8", "surrogatepass"))


def _pairs(mine: Mapping[str, object], its: Mapping[str, object]) -> list[tuple[str, tuple[object, object]]]:
    return [(name, (mine.get(name, 0), its.get(name, 0))) for name in sorted(mine.keys() | its.keys())]
