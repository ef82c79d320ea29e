"""The task tokens of the memory store."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice

from watcher.model import TaskTokens, token_digest
from watcher.query import Page, decode_cursor, page


@dataclass(slots=True)
class _Entry:
    number: int
    token: str | None
    """None: answered."""
    late: bool
    begun: bool = False


class MemoryTokens:
    """Task tokens by the key of their task, and by their digest."""

    def __init__(self) -> None:
        self._entries: dict[str, dict[bytes, _Entry]] = {}
        self._newest = 0
        self._unanswered: dict[int, tuple[str, str, _Entry]] = {}
        """The key and the token of each entry that has one, by its number, in order of arrival."""

    def add(self, key: str, tokens: Iterable[str], *, late: bool) -> None:
        """Keep tokens. One that was kept before is ignored, also if it was answered."""
        for token in tokens:
            by_digest, digest = self._entries.setdefault(key, {}), token_digest(token)
            if digest not in by_digest:
                self._newest += 1
                by_digest[digest] = _Entry(self._newest, token, late)
                self._unanswered[self._newest] = (key, token, by_digest[digest])

    def find(self, keys: Iterable[str]) -> dict[str, list[str]]:
        """The tokens of these tasks that are not answered."""
        found = {key: [entry.token for entry in self._entries.get(key, {}).values() if entry.token is not None] for key in keys}
        return {key: tokens for key, tokens in found.items() if tokens}

    def begin(self, tokens: TaskTokens) -> dict[str, list[str]]:
        """Record that these are about to be answered. Returns those that were recorded before."""
        earlier: dict[str, list[str]] = {}
        for key, token, entry in self._kept(tokens):
            if entry.begun:
                earlier.setdefault(key, []).append(token)
            entry.begun = True
        return earlier

    def drop(self, tokens: TaskTokens) -> None:
        """Erase tokens that are answered, except their digests."""
        for _, _, entry in self._kept(tokens):
            entry.token = None
            del self._unanswered[entry.number]

    def make_late(self, ended: Callable[[str], bool]) -> None:
        """A sink was added: it does not get the last events of tasks that have ended, so their tokens are late."""
        for key, _, entry in self._unanswered.values():
            entry.late = entry.late or ended(key)

    def late(self, wanted: Callable[[str], bool], limit: int) -> list[str]:
        """The wanted keys with late tokens that are not answered, the longest waiting first."""
        keys = dict.fromkeys(key for key, _, entry in self._unanswered.values() if entry.late)
        return list(islice((key for key in keys if wanted(key)), limit))

    def waiting(self, wanted: Callable[[str], bool], after: str | None, limit: int) -> Page[tuple[str, str]]:
        """One page of the wanted keys with tokens that are not late."""
        last = 0 if after is None else decode_cursor(after, 1)[0]
        numbers = list(self._unanswered)
        first = bisect_right(numbers, last)
        following = ((number, *self._unanswered[number]) for number in islice(numbers, first, None))
        return page((((number,), (key, token)) for number, key, token, entry in following if not entry.late and wanted(key)), limit)

    def erase(self, key: str) -> None:
        """Erase all tokens of a task."""
        for entry in self._entries.pop(key, {}).values():
            self._unanswered.pop(entry.number, None)

    def _kept(self, tokens: TaskTokens) -> Iterator[tuple[str, str, _Entry]]:
        for key, given in tokens.items():
            for token in given:
                if (entry := self._entries.get(key, {}).get(token_digest(token))) is not None and entry.token is not None:
                    yield key, token, entry
