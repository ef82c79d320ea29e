"""What has ended is forgotten: memory, descriptors, threads, tasks of the event loop, rows and metrics come back to where they were."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog

from tests.soak import WAVE, grown, soak
from watcher.model import Watch
from watcher.runtime.service import Watcher


class Hoarding(Watcher):
    """Keeps the key of each watch that it ever had."""

    async def _open(self) -> None:
        await super()._open()
        watch, self.keys = self._poller_set.watch, set[str]()

        def hoarded(new: Watch) -> None:
            self.keys.add(new.key + ".")
            watch(new)

        self._poller_set.watch = hoarded  # type: ignore[method-assign]


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    before: dict[str, Any] = structlog.get_config()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
    yield
    structlog.configure(**before)


@pytest.mark.parametrize("file", [None, "watcher.db"])
def test_everything_comes_back_to_where_it_was(file: str | None, tmp_path: Path) -> None:
    """Waves of tasks, each forgotten after its end, leave nothing behind, in memory or SQLite: `make soak` plays a million."""
    houses = soak(WAVE, 3, tmp_path / file if file else None)
    assert houses[-1].rows == 0
    assert grown(houses[1], houses[-1], WAVE) == []


def test_a_leak_of_one_key_is_seen() -> None:
    """A watcher that keeps no more than the key of each task is found out."""
    houses = soak(WAVE, 3, make=Hoarding)
    assert any("things a task" in words for words in grown(houses[1], houses[-1], WAVE))
