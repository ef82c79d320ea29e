"""What a known bug is: how to assemble a watcher with it, and a story that shows it. `mutants.py` has all of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from tests.simulation.drawing import draw
from tests.simulation.story import Story
from tests.simulation.sweep import RARE_STORIES
from watcher.runtime import assembly, delivery, poller_factory, polling
from watcher.runtime.service import Watcher

_MODULES = (assembly, poller_factory, polling, delivery)
"""Where a class is replaced by a mutant."""


def assemble_with(**replacements: type) -> Callable[..., Watcher]:
    """A function like `assemble` that uses other classes for those that one of the `_MODULES` imports by these names."""

    @contextmanager
    def replaced() -> Iterator[None]:
        with pytest.MonkeyPatch.context() as patch:
            for name, other in replacements.items():
                patch.setattr(next(module for module in _MODULES if hasattr(module, name)), name, other)
            yield

    def make(*args: Any, **options: Any) -> Watcher:
        with replaced():
            watcher = assembly.assemble(*args, **options)
        factory: Any = watcher.loops.pollers._factory
        factory.make = replaced()(factory.make)  # most pollers are made for their first watch
        return watcher

    return make


@dataclass(frozen=True)
class Mutant:
    """A watcher with a bug."""

    make: Callable[..., Watcher]
    shown_by: int | str
    """A seed whose story showed the bug. When it no longer does, the test searches for another one. Or one of the `RARE_STORIES`."""

    def stories(self, seeds: Iterable[int]) -> Iterator[Story]:
        """The stories of which one must show the bug: that one, then those of the seeds."""
        if isinstance(self.shown_by, str):
            yield RARE_STORIES[self.shown_by]
        else:
            yield from (draw(seed) for seed in (self.shown_by, *seeds))
