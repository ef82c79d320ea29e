"""The kinds that a configuration can watch."""

from __future__ import annotations

from dataclasses import replace

from watcher.config.settings import Settings
from watcher.kinds.catalog import DEFAULT_KIND, Catalog, builtin_catalog


def catalog_of(settings: Settings) -> Catalog:
    """Return the shipped kinds, and those of the configuration after them. Raises ConfigMistakes for kinds that contradict each other."""
    shipped = builtin_catalog()
    if not settings.kinds:
        return shipped
    return Catalog([*shipped, *(replace(form.kind(), own=True) for form in settings.kinds)], DEFAULT_KIND)
