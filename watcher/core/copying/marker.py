"""The record in a store that a copy into it is unfinished: of which content, and how far it got.

It is kept among the texts of the store, under a name of its own, and is written in the transactions of the copy. While it
is there, no watcher may run on the store: it would send events again that are not marked as delivered yet.
"""

from __future__ import annotations

import json

from watcher.errors import StoreRefused

NAME = "unfinished copy"
"""The name of the text."""


def begin(found: str | None, source: str) -> tuple[str, str]:
    """Return the record for a copy of the content `source`, and how far it got before (empty: not begun).

    Raises StoreRefused for an unfinished copy of other content.
    """
    if found is None:
        return _record(source, ""), ""
    earlier, progress = _read(found)
    if earlier != source:
        raise StoreRefused(
            "the target has an unfinished copy of another store, or the source has changed since: erase the target and copy again"
        )
    return found, progress


def advance(found: str | None, progress: str) -> str:
    """Return the record of a copy that got this far. Raises StoreRefused if none has begun."""
    if found is None:
        raise StoreRefused("no copy into this store has begun")
    return _record(_read(found)[0], progress)


def check_empty(found: str | None, *, has_content: bool) -> None:
    """Raise StoreRefused for a store that has content which is not an unfinished copy."""
    if found is None and has_content:
        raise StoreRefused("the target has tasks or dead letters of its own: name an empty store, which the copy may also create")


def check_complete(found: str | None) -> None:
    """Raise StoreRefused for a store that has an unfinished copy."""
    if found is not None:
        raise StoreRefused(
            "it has an unfinished copy of another store: complete it with the same watcher store copy command, or erase this store"
        )


def _record(source: str, progress: str) -> str:
    return json.dumps({"source": source, "progress": progress})


def _read(text: str) -> tuple[str, str]:
    record = json.loads(text)
    return record["source"], record["progress"]
