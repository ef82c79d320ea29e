"""The watcher forgets ended tasks: memory, descriptors, threads, tasks of the event loop, rows, and metrics do not grow."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import structlog

from tests.simulation.mutants import assemble_with
from tests.soak import MIN_WAVE, find_growth, soak
from watcher.model import Watch
from watcher.runtime.poller_set import PollerSet


class LeakyPollerSet(PollerSet):
    """Keeps the key of each watch that was ever added."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.keys = set[str]()

    def add(self, watches: Sequence[Watch], *args: Any) -> None:
        self.keys.update(f"{watch.key}." for watch in watches)  # a string of its own, as a real leak would keep
        super().add(watches, *args)


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    before: dict[str, Any] = structlog.get_config()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
    yield
    structlog.configure(**before)


@pytest.mark.parametrize("file", [pytest.param(None, id="memory"), pytest.param("watcher.db", id="sqlite", marks=pytest.mark.long)])
def test_nothing_grows_with_the_number_of_tasks(file: str | None, tmp_path: Path) -> None:
    """After waves of tasks that ended and were pruned, no collection, descriptor, thread, row, or metric is left over."""
    sizes = soak(MIN_WAVE, 3, tmp_path / file if file else None)
    assert sizes[-1].rows == 0
    assert find_growth(sizes[1], sizes[-1], MIN_WAVE) == []


@pytest.mark.slow
def test_the_soak_finds_a_leak_of_one_key_per_task() -> None:
    """A watcher that keeps only the key of each task is reported."""
    sizes = soak(MIN_WAVE, 3, make=assemble_with(PollerSet=LeakyPollerSet))
    assert any("more for each task" in sentence for sentence in find_growth(sizes[1], sizes[-1], MIN_WAVE))
