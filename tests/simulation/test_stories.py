"""Nothing is lost, nothing is invented: many seeded stories, every first call that can go wrong, and planted bugs."""

from __future__ import annotations

import io
import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace

import pytest
import structlog

from tests.simulation.mutants import MUTANTS
from tests.simulation.oracle import judge
from tests.simulation.play import MARK, play, replay
from tests.simulation.story import TROUBLES, draw
from tests.simulation.sweep import SCENES, STORY, WAYS, sweep
from watcher.observe.logs import LogSettings, configure

SEEDS = int(os.environ.get("SEEDS", "200"))
BATCH = 20


@pytest.fixture(autouse=True)
def logs() -> Iterator[io.StringIO]:
    """What is logged, down to debug."""
    before = structlog.get_config()
    stream = io.StringIO()
    configure(LogSettings(level="debug", format="json"), stream)
    yield stream
    structlog.configure(**before)


@pytest.mark.parametrize("first", range(0, SEEDS, BATCH))
def test_whatever_happens_every_transition_is_told_once_and_in_order(first: int, logs: io.StringIO) -> None:
    """In each story of faults and kills the oracle finds no broken promise, and no log line names a person."""
    seen: Counter[str] = Counter()
    for seed in range(first, min(first + BATCH, SEEDS)):
        record = play(draw(seed))
        assert judge(record) == [], replay(seed)
        seen.update(record.seen)
        seen["over SQLite"] += record.story.sqlite
        seen["two kinds"] += len({key.partition("/")[0] for key in record.submitted}) == 2
        seen["again"] += record.queue.redelivered + sum(inbox.deaths for inbox in record.inboxes)
    assert MARK not in logs.getvalue()
    vacuous = [what for what in ("kill", "stop", "forget", "again", "over SQLite", "two kinds") if not seen[what]]
    assert not vacuous, "a run in which nothing happens proves nothing"
    assert sum(seen[trouble] > 0 for trouble in TROUBLES) >= 5


@pytest.mark.parametrize("scene", SCENES)
def test_what_is_too_long_or_too_rare_to_be_drawn(scene: str) -> None:
    """The promises hold over each of these, and at the end a fresh task is told of in time."""
    assert judge(play(SCENES[scene])) == []


@pytest.mark.parametrize("sqlite", [False, True])
@pytest.mark.parametrize("way", WAYS)
def test_it_may_go_wrong_at_any_call(way: str, sqlite: bool) -> None:
    """Killed, or failing, at the first call of a port, the second, the third … up to the last: the promises hold each time."""
    hit = set()
    for nth, call, broken in sweep(way, replace(STORY, sqlite=sqlite)):
        assert broken == [], f"{way} call {nth}, {call}"
        hit.add(call)
    assert {"store.admit", "store.commit", "store.settle", "store.add_dead_letters", "queue.ack", "probe.observe", "sink.send"} <= hit


@pytest.mark.parametrize("bug", MUTANTS)
def test_the_oracle_finds_planted_bugs(bug: str) -> None:
    """Each of these known bugs breaks a promise that the oracle sees within 200 seeds."""
    assert any(judge(play(draw(seed), MUTANTS[bug])) for seed in range(200))
