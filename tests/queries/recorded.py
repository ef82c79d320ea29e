"""Tasks, events and dead letters as a watcher would have recorded them, for tests of queries and commands."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from watcher.core.delivery.events import EventSettings, EventWriter
from watcher.core.polling.transitions import WatchSettings, advance, end
from watcher.kinds.catalog import builtin_catalog
from watcher.model import Change, DeadLetter, Observation, Step, TaskRef, Watch
from watcher.ports import Store

CATALOG = builtin_catalog()
CANARY = "profile-canary-77"
"""The id of a person, which lists must not show."""


@dataclass
class RecordedTask:
    """A task of voice connector `abc`, as a watcher would have recorded it. `ago` is seconds before now."""

    task: str
    kind: str = "speaker-search"
    connector: str = "abc"

    def __post_init__(self) -> None:
        self.now = time.time()
        ref = TaskRef(self.kind, (self.connector, self.task))
        self.watch = Watch(ref, "0" * 32, self.now - 60, self.now + 3600, context='{"call":"c-42"}')
        self._changes: list[Change] = []

    def seen(self, status: str, ago: float, *, lag: float = 0.5, result: Any = None) -> RecordedTask:
        """Add a poll that saw this status, which had begun `lag` seconds before."""
        at = self.now - ago
        started = at - lag if status == "IN_PROGRESS" else self.watch.started_at
        observation = Observation(status, at, result, self.now - 60, started, at - lag)
        return self._add(advance(CATALOG[self.kind], self.watch, observation, WatchSettings()))

    def ended(self, reason: str, ago: float) -> RecordedTask:
        """End the watch without a terminal status."""
        return self._add(end(self.watch, reason, self.now - ago))

    async def record(self, store: Store) -> None:
        """Write the watch and its events as the owner of the store."""
        await store.admit([Watch(self.watch.ref, self.watch.id, self.watch.admitted_at, self.watch.deadline_at, self.watch.context)])
        leases = {lease.shard: lease for lease in (await store.claim()).leases}
        for change in self._changes:
            await store.commit([change], leases)

    def _add(self, step: Step) -> RecordedTask:
        writer, kind = EventWriter(EventSettings(), "us-east-1"), CATALOG[self.kind]
        events = [writer.write(kind, step.watch, transition, transition.observed_at) for transition in step.transitions]
        self.watch = step.watch
        self._changes.append(Change(step.watch, tuple(events)))
        return self


async def record(
    store: Store, *tasks: RecordedTask, states: Sequence[tuple[str, str]] = (), dead_letters: Sequence[DeadLetter] = ()
) -> None:
    """Write tasks, saved states and dead letters as the owner of the store."""
    for task in tasks:
        await task.record(store)
    for name, text in states:
        await store.save_state(name, text)
    await store.add_dead_letters(dead_letters)


def dead_letter(id_: str, body: bytes = b"nonsense", **fields: Any) -> DeadLetter:
    """An input of a minute ago that names no task; `fields` replace what differs."""
    given = {"what": "input", "origin": "lines", "reason": "shape", "detail": "it names no task", "at": time.time() - 60}
    return DeadLetter(id_, body=body, **(given | fields))


def search_result(profile: str = CANARY) -> dict[str, Any]:
    """The result of a speaker search that found one person."""
    return {"voiceprint": "VoiceprintGenerationSuccess", "matches": [{"voice_profile_id": profile, "confidence": 0.9}]}
