"""What a check of several keys finds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from watcher.section import Section
from watcher.yaml_text import KeyPath

Sections = Mapping[KeyPath, Section]
"""The valid sections, by where they are: `("pace",)`, `("sinks", 0)`."""


class Conflict(NamedTuple):
    """A key that conflicts with others. `what` says what is wrong with `key` and what to do."""

    key: KeyPath
    others: tuple[KeyPath, ...]
    what: str
