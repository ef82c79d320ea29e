"""Advice about a word that should be the name of a kind, and is none. It names a kind that is similar, never the word itself."""

from __future__ import annotations

import difflib
from typing import Any

from watcher.errors import InvalidInput
from watcher.kinds.catalog import Catalog

MAX_NAME = 64
"""Characters. A longer word is similar to no kind."""


def near_kind(word: Any, catalog: Catalog) -> str | None:
    """The name of the kind that a word most resembles, None where there is none.

    It has the same first letter: without this bound, a message with thousands of wrong kinds takes a second.
    """
    if not isinstance(word, str) or not word or len(word) > MAX_NAME:
        return None
    name = word.lower().replace("_", "-")
    near = difflib.get_close_matches(name, [kind for kind in catalog.kinds if kind[0] == name[0]], n=1)
    return near[0] if near else None


def unknown_kind(word: Any, catalog: Catalog) -> InvalidInput:
    """The error about a word that is not the name of a kind of the catalog."""
    near = near_kind(word, catalog)
    hint = "" if near is None else f"did you mean {near}? "
    return InvalidInput("kind", f"unknown kind; {hint}`watcher kinds list` shows all")
