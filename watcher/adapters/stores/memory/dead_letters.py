"""The dead letters of the memory store, in order of time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import NamedTuple

from watcher.adapters.dead_letter_bodies import pack, unpack
from watcher.model import DeadLetter, TaskRef
from watcher.ports import RETRY_PAGE
from watcher.query import DeadLetterQuery, Page, Selection, decode_cursor, page


class _Entry(NamedTuple):
    number: int
    """In order of arrival."""
    dead_letter: DeadLetter
    """Its body as it is kept, with the size of the whole one where they differ."""
    task: TaskRef | None
    """The task of its event. Kept here because the watch may be pruned earlier."""


class DeadLetters:
    """Dead letters by id."""

    def __init__(self) -> None:
        self._entries: dict[str, _Entry] = {}
        self._newest = 0

    def __contains__(self, id_: str) -> bool:
        return id_ in self._entries

    def add(self, dead_letter: DeadLetter, task: TaskRef | None) -> None:
        """Keep a dead letter. One that is kept already counts one more try, and loses its mark for a retry."""
        entry = self._entries.get(dead_letter.id)
        if entry is None:
            self._newest += 1
            body, size = pack(dead_letter.body)
            self._entries[dead_letter.id] = _Entry(self._newest, replace(dead_letter, body=body, size=size, retry=False), task)
            return
        reason, detail, at = dead_letter.reason, dead_letter.detail, dead_letter.at
        again = replace(entry.dead_letter, reason=reason, detail=detail, at=at, tries=entry.dead_letter.tries + 1, retry=False)
        self._entries[dead_letter.id] = entry._replace(dead_letter=again)

    def restore(self, dead_letter: DeadLetter, task: TaskRef | None) -> None:
        """Keep a dead letter of another store as it is."""
        self.add(dead_letter, task)
        entry = self._entries[dead_letter.id]
        self._entries[dead_letter.id] = entry._replace(dead_letter=replace(entry.dead_letter, retry=dead_letter.retry))

    def find(self, query: DeadLetterQuery) -> Page[DeadLetter]:
        """One page of those that match."""
        last = None if query.after is None else decode_cursor(query.after, 2)
        entries = sorted(self._entries.values(), key=_place, reverse=not query.oldest_first)
        following = (each for each in entries if last is None or (_place(each) > last if query.oldest_first else _place(each) < last))
        matching = (entry for entry in following if _matches(entry.dead_letter, query))
        read = _whole if query.bodies else _without_body
        return page(((_place(entry), read(entry.dead_letter)) for entry in matching), query.limit)

    def count(self) -> Counter[tuple[str, str]]:
        """Return the number of dead letters by `what` and `origin`."""
        return Counter((entry.dead_letter.what, entry.dead_letter.origin) for entry in self._entries.values())

    def to_retry(self, after: str | None, wanted: Callable[[DeadLetter], bool]) -> Page[DeadLetter]:
        """Return one page of the wanted dead letters that are marked for a retry, in order of arrival."""
        first = 0 if after is None else decode_cursor(after, 1)[0]
        marked = (entry for entry in self._entries.values() if entry.dead_letter.retry and entry.number > first)
        marked = (entry for entry in marked if wanted(entry.dead_letter))
        return page((((entry.number,), _whole(entry.dead_letter)) for entry in marked), RETRY_PAGE)

    def mark(self, ids: Iterable[str]) -> int:
        """Mark these for a retry. Returns how many exist."""
        known = self._entries.keys() & set(ids)
        for id_ in known:
            entry = self._entries[id_]
            self._entries[id_] = entry._replace(dead_letter=replace(entry.dead_letter, retry=True))
        return len(known)

    def purge(self, ids: Iterable[str] | None) -> int:
        """Erase these, or all. Returns how many."""
        wanted = None if ids is None else set(ids)
        return self._erase(lambda entry: wanted is None or entry.dead_letter.id in wanted)

    def prune(self, what: str, before: float) -> int:
        """Erase the dead letters of inputs, or of events, that are older. Returns how many."""
        return self._erase(lambda entry: entry.dead_letter.what == what and entry.dead_letter.at < before)

    def drop(self, sink: str) -> None:
        """Erase the dead letters of the events of this sink."""
        self._erase(lambda entry: (entry.dead_letter.what, entry.dead_letter.origin) == ("event", sink))

    def forget(self, selection: Selection) -> None:
        """Erase those of the selected tasks."""
        self._erase(lambda entry: _selected(entry, selection))

    def _erase(self, unwanted: Callable[[_Entry], bool]) -> int:
        erased = [id_ for id_, entry in self._entries.items() if unwanted(entry)]
        for id_ in erased:
            del self._entries[id_]
        return len(erased)


def _whole(kept: DeadLetter) -> DeadLetter:
    return kept if kept.size is None else replace(kept, body=unpack(kept.body, kept.size), size=None)


def _without_body(kept: DeadLetter) -> DeadLetter:
    return replace(kept, body=b"", size=len(kept.body) if kept.size is None else kept.size)


def _place(entry: _Entry) -> tuple[float, ...]:
    return entry.dead_letter.at, entry.number


def _matches(dead_letter: DeadLetter, query: DeadLetterQuery) -> bool:
    return query.key in (None, dead_letter.key) and dead_letter.id.startswith(query.id_prefix or "")


def _selected(entry: _Entry, selection: Selection) -> bool:
    key, task = entry.dead_letter.key, entry.task
    if key is None:
        return False
    return selection.matches(key, task.kind, task.params) if task is not None else key == selection.key
