"""The kinds that a command knows: those of its configuration, or the shipped ones."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from watcher.kinds.catalog import Catalog


def catalog_for(config: Path | None) -> Catalog:
    """Return the shipped kinds and, with a configuration, its own. Reads the section `kinds` only. Raises ConfigMistakes."""
    if config is None:
        from watcher.kinds.catalog import builtin_catalog

        return builtin_catalog()
    from watcher.config import catalog_of, read_sections

    return catalog_of(read_sections(config, os.environ, ("kinds",)))


def warn_of_misread_kinds(references: Iterable[str], catalog: Catalog) -> None:
    """Print a warning on stderr for each reference that is read as one of the default kind, although it seems to name another kind."""
    from watcher.cli.tables import printable, sentence
    from watcher.core.intake.references import misread_kind

    for text in references:
        if (warning := misread_kind(text, catalog)) is not None:
            sentence(printable(warning), err=True)


def shipped_names() -> Collection[str]:
    """Return the names of the kinds that ship with the watcher."""
    return catalog_for(None).kinds
