"""Several replicas lose no event, invent none, and ask about no task at once: in seeded stories, and with planted bugs as a check."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Iterator

import anyio
import pytest
import structlog

from tests.simulation.fleet.loop import PROCESS, FreezingLoop
from tests.simulation.fleet.mutants import FLEET_MUTANTS
from tests.simulation.fleet.oracle import judge_fleet
from tests.simulation.fleet.play import play_fleet, replay
from tests.simulation.fleet.story import TROUBLES, draw_fleet
from tests.simulation.world import MARK
from watcher.observe.logs import LogSettings, configure

SEARCHED = range(200)
"""Seeds in which a planted bug must show."""
OFTEN = ("kill", "stop", "takeover", "hand-over", "arrival", "erasure", "again")
"""What occurs in every batch of stories."""
SELDOM = (*TROUBLES, "fenced", "retry")
"""What occurs in a larger number of them."""


@pytest.fixture(autouse=True)
def logs() -> Iterator[io.StringIO]:
    """All that is logged, down to debug."""
    before = structlog.get_config()
    stream = io.StringIO()
    configure(LogSettings(level="debug", format="json"), stream)
    yield stream
    structlog.configure(**before)


def played(seeds: range) -> Counter[str]:
    """What occurred in the stories of these seeds, none of which breaks a promise."""
    seen: Counter[str] = Counter()
    for seed in seeds:
        record = play_fleet(draw_fleet(seed))
        assert judge_fleet(record) == [], replay(seed)
        seen.update(record.audit.seen)
        seen["again"] += record.played.queue.redelivered + sum(inbox.replies_lost for inbox in record.played.inboxes)
    return seen


def test_every_promise_holds_in_every_story_of_several_replicas(seeds: range, logs: io.StringIO) -> None:
    """Whatever fails between replicas, store, and service, the oracle finds no broken promise, and no log line names a person."""
    seen = played(seeds)
    assert MARK not in logs.getvalue()
    assert "probe_raised_unexpectedly" not in logs.getvalue()
    assert [name for name in OFTEN if not seen[name]] == [], "stories in which nothing happens prove nothing"


@pytest.mark.long
def test_every_kind_of_trouble_between_replicas_occurs() -> None:
    """Each trouble, a fenced write, and the retry of a dead letter occur in the stories that are played."""
    seen = played(range(60))
    assert [name for name in SELDOM if not seen[name]] == []


@pytest.mark.slow
@pytest.mark.parametrize("bug", FLEET_MUTANTS)
def test_the_oracle_finds_planted_bugs_of_replicas(bug: str) -> None:
    """Each known bug breaks a promise within 200 seeds."""
    mutant = FLEET_MUTANTS[bug]
    seeds = (mutant.seed, *SEARCHED)
    assert any(judge_fleet(play_fleet(draw_fleet(seed), mutant.make, mutant.break_server)) for seed in seeds)


def test_a_story_is_the_same_each_time_it_is_played() -> None:
    """The same events reach the same sinks at the same times."""
    first, second = (play_fleet(draw_fleet(3)) for _ in range(2))
    assert [inbox.sent for inbox in first.played.inboxes] == [inbox.sent for inbox in second.played.inboxes]
    assert first.audit.seen == second.audit.seen


def test_nothing_of_a_frozen_process_runs_until_it_goes_on() -> None:
    """Its timers fire late, in order, and what arrived meanwhile is read then; the others and the clock go on."""
    loop, ran = FreezingLoop(), []

    async def process(number: int) -> None:
        PROCESS.set(number)
        for _ in range(4):
            await anyio.sleep(1)
            ran.append((number, round(anyio.current_time(), 1)))

    async def world() -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(process, 0)
            tasks.start_soon(process, 1)
            await anyio.sleep(1.5)
            loop.freeze(1)
            assert loop.is_frozen(1)
            await anyio.sleep(2)
            loop.thaw(1)

    loop.run_until_complete(world())
    loop.close()
    assert [at for number, at in ran if number == 0] == [1.0, 2.0, 3.0, 4.0]
    assert [at for number, at in ran if number == 1] == [1.0, 3.5, 4.5, 5.5]
