"""The targets that a command knows: those of its configuration."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from watcher.config import Settings
    from watcher.core.intake.scopes import Targets


def targets_for(config: Path | None, region: str | None = None) -> Targets:
    """Return the targets of a configuration; without one, a watcher that gets a message may have any. Raises ConfigMistakes.

    `region` is that of the default target, None if it is not known.
    """
    if config is None:
        return targets_of(None, region, others=True)
    from watcher.config import read_sections

    return targets_of(read_sections(config, os.environ, ("targets",)), region, others=False)


def targets_of(settings: Settings | None, region: str | None, *, others: bool) -> Targets:
    """Return the targets of settings, and the default one in this Region. `others`: there may be others."""
    from watcher.core.intake.scopes import Targets
    from watcher.model import DEFAULT_TARGET, Scope

    found = () if settings is None else settings.targets
    return Targets({DEFAULT_TARGET: Scope(region), **{each.name: Scope(each.region, each.account) for each in found}}, others)
