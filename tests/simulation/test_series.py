"""A scrape is complete from the start: no counter is born at 1, and no component appears with its first trouble."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from tests.simulation.drawing import draw
from tests.simulation.play import play, replay
from watcher.runtime.assembly import assemble
from watcher.runtime.service import Watcher

SERIES = re.compile(rb"^(watcher_\w*(?:_total|_count|component_healthy|circuit_open)(?:{.*})?) (.*)$", re.MULTILINE)
OF_A_SINK = re.compile(rb'watcher_dead_letters_total{.*what="event"')
"""Why a sink rejects an event is known only from its answer."""

OF_ANOTHER_SERVICE = re.compile(rb"ecs")
"""Series of a service that is polled from its first watch on only."""


def series(page: bytes) -> dict[bytes, float]:
    """The counters, and the states of components and circuits, in a scrape."""
    return {name: float(value) for name, value in SERIES.findall(page)}


def born_later(first: bytes, pages: Iterable[bytes]) -> set[bytes]:
    """The series that the first scrape did not have."""
    later = {name for page in pages for name in series(page)} - set(series(first))
    return {name for name in later if not OF_A_SINK.match(name) and not OF_ANOTHER_SERVICE.search(name)}


def test_no_series_appears_after_the_start() -> None:
    """Whatever happens in a story, each counter and each component of its end was in the first scrape; there, all counters were 0."""
    counted: set[bytes] = set()
    for seed in range(12):
        first: list[bytes] = []

        def make(*args: Any, first: list[bytes] = first, **options: Any) -> Watcher:
            watcher = assemble(*args, **options)
            first.append(watcher.metrics.render())
            return watcher

        record = play(draw(seed), make)
        assert born_later(first[0], record.metrics) == set(), replay(seed)
        assert {value for name, value in series(first[0]).items() if b"healthy" not in name} == {0.0}
        counted |= {name.partition(b"{")[0] for page in record.metrics for name, value in series(page).items() if value}
    used = {b"inputs", b"acks", b"polls", b"events", b"watches_ended", b"dead_letters", b"deliveries"}
    assert used <= {name.removeprefix(b"watcher_").removesuffix(b"_total") for name in counted}, "nothing is counted, nothing is proved"
