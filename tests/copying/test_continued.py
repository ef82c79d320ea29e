"""The watcher continues on a copy where it stopped on the source."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import anyio
import pytest

from tests.copying.places import PLACES, copied
from tests.runtime.conftest import MakeWorld, key, world  # noqa: F401  the fixture
from watcher.errors import Unavailable
from watcher.model import shard_of
from watcher.simulator.inbox import SimulatedInbox

pytestmark = pytest.mark.looptime(noop_cycles=0)

TASKS = [f"task-{n}" for n in range(12)]


@pytest.mark.parametrize(
    ("source", "target"),
    [
        ("memory", "shared memory"),
        ("memory with 4 shards", "memory"),
        ("shared memory", "memory with 4 shards"),
    ],
)
async def test_each_event_arrives_one_time_and_in_order(
    world: MakeWorld,  # noqa: F811
    source: str,
    target: str,
    tmp_path: Path,
) -> None:
    """A watcher runs on one store, stops, and goes on with the copy, after another copy by way of a file: no event is lost or repeated.

    One sink was down before the stop, so its events wait on the copy.
    """
    first, between, second = PLACES[source](tmp_path), PLACES["sqlite"](tmp_path), PLACES[target](tmp_path)
    inboxes = [SimulatedInbox(name="up"), SimulatedInbox(name="down")]
    w = world(store=first.store(), sinks=inboxes, finite=False, quota=1000.0, partial=0, durations="queue=fixed(1),run=uniform(2,120)")
    async with w.running():
        inboxes[1].failure = Unavailable("503")
        w.submit(*TASKS[:8])
        await anyio.sleep(40)
    before = Counter(event.id for event in inboxes[0].events)
    ended = {event.key for event in inboxes[0].events if event.terminal}
    assert 0 < len(ended) < 8
    assert inboxes[1].events == []

    await copied(first, between)
    await copied(between, second)

    w.store = second.store()
    inboxes[1].failure = None
    async with w.running():
        w.submit(*TASKS)
        await anyio.sleep(400)
    for inbox in inboxes:
        assert set(Counter(event.id for event in inbox.events).values()) == {1}
        for name in TASKS:
            bodies = inbox.of(key(name))
            assert [int(body["sequence"]) for body in bodies] == list(range(1, len(bodies) + 1)), name
            assert inbox.events[[event.id for event in inbox.events].index(bodies[-1]["id"])].terminal
    assert before.keys() < {event.id for event in inboxes[0].events}
    assert {event.id for event in inboxes[0].events} == {event.id for event in inboxes[1].events}
    assert len({shard_of(key(name), 4) for name in TASKS}) > 1
