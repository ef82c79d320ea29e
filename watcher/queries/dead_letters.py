"""Dead letters: inputs that name no task, and events that a sink rejected. Only the details of one show its body."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from watcher.core.delivery.events import iso
from watcher.core.intake.masked_tokens import masked
from watcher.core.intake.strict_json import decode
from watcher.errors import InvalidInput
from watcher.model import DeadLetter
from watcher.ports import Queries
from watcher.queries.pages import read_pages
from watcher.query import DeadLetterQuery, Page


class DeadLetterLookupError(LookupError):
    """An id, or a prefix of one, that does not name exactly one dead letter."""

    def __init__(self, id_prefix: str, matches: int) -> None:
        what = f"{matches} dead letters have an id that begins with this; give more of it" if matches else "no dead letter has this id"
        super().__init__(f"{id_prefix}: {what}")


@dataclass(frozen=True, slots=True)
class DeadLetterSummary:
    """One dead letter without its body. `at` is seconds since the epoch."""

    id: str
    what: str
    """`input` or `event`."""
    origin: str
    """The source or the sink."""
    reason: str
    detail: str
    at: float
    key: str | None
    """The task, for an event."""
    tries: int
    retry: bool
    """A retry was requested, and the running watcher has not made it yet."""
    size: int
    """Of the body, in bytes."""

    def as_json(self) -> dict[str, Any]:
        """The JSON form, with the time in RFC 3339."""
        return {
            "id": self.id,
            "what": self.what,
            "origin": self.origin,
            "reason": self.reason,
            "detail": self.detail,
            "at": iso(self.at),
            "key": self.key,
            "tries": self.tries,
            "retry": self.retry,
            "bytes": self.size,
        }


@dataclass(frozen=True, slots=True)
class DeadLetterDetails:
    """One dead letter with its body, which may identify a person. Task tokens in it are hidden."""

    summary: DeadLetterSummary
    body: bytes

    @property
    def text(self) -> str:
        """The body to read: JSON with one member per line; a body that is no valid JSON unchanged, so that its mistake is seen."""
        try:
            return json.dumps(decode(self.body), indent=2, ensure_ascii=False)
        except InvalidInput:
            return self._decoded()

    def as_json(self) -> dict[str, Any]:
        """The JSON form of the summary, and the body as text; bytes that are not UTF-8 are escaped."""
        return {**self.summary.as_json(), "body": self._decoded()}

    def _decoded(self) -> str:
        return self.body.decode("utf-8", "backslashreplace")


def dead_letter_summary(letter: DeadLetter) -> DeadLetterSummary:
    """Return the summary of a dead letter."""
    return DeadLetterSummary(
        id=letter.id,
        what=letter.what,
        origin=letter.origin,
        reason=letter.reason,
        detail=letter.detail,
        at=letter.at,
        key=letter.key,
        tries=letter.tries,
        retry=letter.retry,
        size=len(letter.body) if letter.size is None else letter.size,
    )


async def list_dead_letters(store: Queries, query: DeadLetterQuery) -> Page[DeadLetterSummary]:
    """Return one page of the dead letters that match the query, the newest first."""
    page = await store.dead_letters(replace(query, bodies=False))
    return Page([dead_letter_summary(letter) for letter in page.items], page.next)


async def all_dead_letters(store: Queries, *, key: str | None = None) -> list[DeadLetterSummary]:
    """Return all dead letters, or all of one task, the newest first, read page by page and without their bodies."""
    return await _summaries(store, DeadLetterQuery(key=key))


async def find_dead_letter(store: Queries, id_prefix: str) -> DeadLetterDetails:
    """Return the dead letter with this id, or else the only one whose id begins with this. Raises DeadLetterLookupError.

    Reads the body of that one only.
    """
    id_ = (await _find_summary(store, id_prefix)).id
    query: DeadLetterQuery | None = DeadLetterQuery(id_prefix=id_, limit=1)
    while query is not None:
        page = await store.dead_letters(query)
        for letter in page.items:
            if letter.id == id_:
                return DeadLetterDetails(dead_letter_summary(letter), masked(letter.body))
        query = replace(query, after=page.next) if page.next is not None else None
    raise DeadLetterLookupError(id_prefix, 0)  # purged in the meantime


async def find_ids(store: Queries, id_prefixes: Sequence[str]) -> list[str]:
    """Return the full ids, each once. Raises DeadLetterLookupError for the first that does not name exactly one dead letter."""
    found = [await _find_summary(store, id_prefix) for id_prefix in id_prefixes]
    return list(dict.fromkeys(letter.id for letter in found))


async def _find_summary(store: Queries, id_prefix: str) -> DeadLetterSummary:
    found = await _summaries(store, DeadLetterQuery(id_prefix=id_prefix))
    matches = [letter for letter in found if letter.id == id_prefix] or found
    if len(matches) != 1:
        raise DeadLetterLookupError(id_prefix, len(matches))
    return matches[0]


async def _summaries(store: Queries, query: DeadLetterQuery) -> list[DeadLetterSummary]:
    return await read_pages(lambda page: list_dead_letters(store, page), query)
