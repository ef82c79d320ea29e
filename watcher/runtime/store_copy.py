"""Copies the whole content of one store into another one, and verifies it. Interrupted at any point, it continues later.

Each portion is one transaction of the target, which also records how far the copy got. Nothing is retried here: after a
failure, the same copy is begun again.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import replace
from typing import Any

from watcher.core.copying.fingerprint import Fingerprint, FingerprintBuilder
from watcher.errors import StoreRefused
from watcher.model import Portion
from watcher.ports import PortableStore
from watcher.runtime.store_reader import StoreReader

WATCHES, EVENTS, DEAD_LETTERS, STATES, END = STAGES = ("watches", "events", "dead letters", "states", "end")
"""What is copied, in the order in which a target needs it."""

Report = Callable[[str, int, int | None], None]
"""Called after each portion with what is being done, the number of items so far, and the number of all items if it is known.

An item is a task, an event, or a dead letter. A copy that continues counts only what was left.
"""

Stage = AsyncIterator[tuple[Portion, Any]]
"""Portions, each with the place at which the stage continues after it; None after the last one."""


def silent(doing: str, done: int, of: int | None) -> None:
    """A report to no one."""


async def survey(store: PortableStore, shards: int, doing: str = "reading", report: Report = silent, of: int | None = None) -> Fingerprint:
    """Read everything. `shards` is the number of shards of the target of a copy."""
    reader = await StoreReader.of(store)
    builder = FingerprintBuilder(reader.sinks, shards)
    done = 0
    async for watches, _ in reader.watches():
        builder.add_watches(watches)
        builder.add_task_tokens(await reader.task_tokens(watches))
        done += len(watches)
        report(doing, done, of)
    async for events, _ in reader.events():
        builder.add_events(events)
        done += len(events)
        report(doing, done, of)
    async for letters, _ in reader.dead_letters():
        for letter, event_id in letters:
            builder.add_dead_letter(letter, event_id)
        done += len(letters)
        report(doing, done, of)
    builder.add_states(await reader.states())
    builder.add_cancelled(await reader.cancelled())
    return builder.result()


async def copy_store(source: PortableStore, target: PortableStore, report: Report = silent) -> Fingerprint:
    """Copy the content of `source`, opened by `attach_alone`, into `target`, opened by `open_target`. Returns what was copied.

    Raises StoreRefused if the target has an unfinished copy of other content, if the source changes meanwhile, or if the
    content of the two differs at the end.
    """
    content = await survey(source, target.shards, "reading the source", report)
    reader = await StoreReader.of(source)
    items, done = content.watches + content.events + content.dead_letters, 0
    async for portion, progress in _portions(reader, target, await target.begin_copy(content.id, reader.sinks)):
        await target.restore(portion, progress)
        done += len(portion.watches) + len(portion.events) + len(portion.dead_letters)
        report("copying", done, items)
    await _verify(content, source, target, report)
    await target.end_copy()
    return content


async def _verify(content: Fingerprint, source: PortableStore, target: PortableStore, report: Report) -> None:
    """Read both stores again, and compare them with what was read first."""
    items = content.watches + content.events + content.dead_letters
    for name, store in (("source", source), ("target", target)):
        if differing := content.differences(await survey(store, target.shards, f"verifying the {name}", report, items)):
            what = "the source has changed during the copy" if store is source else "the copy differs from its source"
            raise StoreRefused(f"{what} ({'; '.join(differing)}): erase the target and copy again")
    for name, store in (("source", source), ("target", target)):
        if running := await store.replicas():
            names = ", ".join(replica.name for replica in running)
            raise StoreRefused(
                f"replicas have started on the {name} during the copy ({names}): stop them, erase the target, and copy again"
            )


async def _portions(reader: StoreReader, target: PortableStore, progress: str) -> AsyncIterator[tuple[Portion, str]]:
    """What is left to copy after this progress, each portion with the progress after it."""
    first, place = json.loads(progress) if progress else (WATCHES, None)
    for number in range(STAGES.index(first), STAGES.index(END)):
        async for portion, following in _stage(STAGES[number], reader, target, place):
            yield portion, json.dumps([STAGES[number + 1], None] if following is None else [STAGES[number], following])
        place = None


def _stage(name: str, reader: StoreReader, target: PortableStore, place: Any) -> Stage:
    if name == WATCHES:
        return _watches(reader, place)
    if name == EVENTS:
        return _events(reader, place or [])
    return _dead_letters(reader, target, place) if name == DEAD_LETTERS else _states(reader)


async def _watches(reader: StoreReader, place: str | None) -> Stage:
    async for watches, after in reader.watches(place):
        yield Portion(watches=watches, task_tokens=await reader.task_tokens(watches)), after


async def _events(reader: StoreReader, place: Sequence[tuple[int, int]]) -> Stage:
    async for events, after in reader.events(dict(place)):
        yield Portion(events=events), list(after.items())


async def _dead_letters(reader: StoreReader, target: PortableStore, place: str | None) -> Stage:
    places = await StoreReader.of(target)
    async for found, after in reader.dead_letters(place):
        letters = []
        for letter, event_id in found:
            shard, position = await places.place(letter, event_id)
            letters.append(replace(letter, shard=shard, position=position))
        yield Portion(dead_letters=letters), after


async def _states(reader: StoreReader) -> Stage:
    yield Portion(states=await reader.states(), cancelled=await reader.cancelled()), None
