"""The record in a store of a copy into it: of which content, how far it got, and whether it is complete.

It is kept among the texts of the store, under a name of its own, and is written in the transactions of the copy. While a
copy is unfinished, no watcher may run on the store: it would send events again that are not marked as delivered yet. The
record of a complete copy stays until a watcher opens the store, so that the same copy again has nothing left to do.
"""

from __future__ import annotations

import json
from typing import NamedTuple

from watcher.errors import StoreRefused

NAME = "copy"
"""The name of the text."""


class _Record(NamedTuple):
    source: str
    progress: str = ""
    complete: bool = False


def begin(found: str | None, source: str) -> tuple[str, str]:
    """Return the record for a copy of the content `source`, and how far it got before (empty: not begun).

    `found` is the text in the store, None where there is none. Raises StoreRefused for a copy of other content.
    """
    record = _Record(source) if found is None else _read(found)
    if record.source != source:
        what = "a copy" if record.complete else "an unfinished copy"
        raise StoreRefused(
            f"the target has {what} of another store, or the source has changed since: erase the target, or name an empty store"
        )
    return _text(record._replace(complete=False)), record.progress


def advance(found: str | None, progress: str) -> str:
    """Return the record of a copy that got this far. Raises StoreRefused if none has begun."""
    return _text(_begun(found)._replace(progress=progress))


def complete(found: str | None) -> str:
    """Return the record of a copy that is complete. Raises StoreRefused if none has begun."""
    return _text(_begun(found)._replace(complete=True))


def check_empty(found: str | None, *, has_content: bool) -> None:
    """Raise StoreRefused for a store that has content of its own."""
    if found is None and has_content:
        raise StoreRefused("it has tasks or dead letters of its own: name an empty store, or one that does not exist yet")


def check_complete(found: str | None) -> None:
    """Raise StoreRefused for a store that has an unfinished copy."""
    if found is not None and not _read(found).complete:
        raise StoreRefused(
            "it has an unfinished copy of another store: complete it with the same watcher store copy command, or erase this store"
        )


def _begun(found: str | None) -> _Record:
    if found is None:
        raise StoreRefused("no copy into this store has begun")
    return _read(found)


def _text(record: _Record) -> str:
    return json.dumps(record)


def _read(text: str) -> _Record:
    return _Record(*json.loads(text))
