"""No event is lost and none is invented: in seeded stories, at every call that can fail, and with planted bugs as a check."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace

import pytest
import structlog

from tests.simulation.drawing import draw
from tests.simulation.executions import TOKEN_MARK
from tests.simulation.mutants import MUTANTS
from tests.simulation.oracle import judge
from tests.simulation.play import play, replay
from tests.simulation.story import SHARDS, TROUBLES
from tests.simulation.sweep import RARE_STORIES, SHORT_STORY, TOKEN_STORY, WAYS, sweep
from tests.simulation.world import MARK
from watcher.observe.logs import LogSettings, configure

SEARCHED = range(200)
"""Seeds in which a planted bug must show."""
BATCHES_AND_TOKENS = ("riders", "single failure", "answered tokens")
OFTEN = ("kill", "stop", "erasure", "again", "SQLite", "several shards", "two kinds", "status in a message", *BATCHES_AND_TOKENS)
"""What occurs in every batch of stories."""
FROM_MESSAGE = b'"observed_from":"submission"'


@pytest.fixture(autouse=True)
def logs() -> Iterator[io.StringIO]:
    """All that is logged, down to debug."""
    before = structlog.get_config()
    stream = io.StringIO()
    configure(LogSettings(level="debug", format="json"), stream)
    yield stream
    structlog.configure(**before)


def test_every_promise_holds_in_every_story(seeds: range, logs: io.StringIO) -> None:
    """Whatever fails and whenever the process is killed, the oracle finds no broken promise, and no log line names a person or a token."""
    seen: Counter[str] = Counter()
    for seed in seeds:
        record = play(draw(seed))
        assert judge(record) == [], replay(seed)
        seen.update(record.seen)
        seen["SQLite"] += record.story.sqlite
        seen["several shards"] += record.story.shards == SHARDS and not record.story.sqlite
        seen["two kinds"] += len({key.partition("/")[0] for key in record.submitted}) == 2
        seen["status in a message"] += sum(FROM_MESSAGE in sent.event.body for inbox in record.inboxes for sent in inbox.sent)
        seen.update(record.probe.seen)
        seen["answered tokens"] += 0 if record.executions is None else len(record.executions.answers)
        seen["again"] += record.queue.redelivered + sum(inbox.replies_lost for inbox in record.inboxes)
    assert MARK not in logs.getvalue()
    assert TOKEN_MARK not in logs.getvalue()
    assert [name for name in OFTEN if not seen[name]] == [], "stories in which nothing happens prove nothing"
    assert sum(seen[trouble] > 0 for trouble in TROUBLES) >= 5


@pytest.mark.slow
@pytest.mark.parametrize("name", RARE_STORIES)
def test_every_promise_holds_in_long_and_rare_stories(name: str) -> None:
    """The watcher survives each of them, and reports a task that comes afterwards in time."""
    assert judge(play(RARE_STORIES[name])) == []


@pytest.mark.slow
@pytest.mark.parametrize("sqlite", [False, True], ids=["memory", "sqlite"])
@pytest.mark.parametrize("way", WAYS)
def test_every_promise_holds_whichever_call_fails(way: str, sqlite: bool) -> None:
    """Of one short story, each call of a port in turn fails or is the last one of its process."""
    hit = set()
    for nth, call, broken in sweep(way, replace(SHORT_STORY, sqlite=sqlite)):
        assert broken == [], f"{way}: call {nth}, {call}"
        hit.add(call)
    assert {"store.admit", "store.commit", "store.settle", "store.add_dead_letters", "queue.ack", "probe.observe", "sink.send"} <= hit


@pytest.mark.slow
@pytest.mark.parametrize("way", [way for way in WAYS if "killed" in way])
def test_every_promise_about_tokens_holds_whichever_call_is_the_last_one(way: str) -> None:
    """Of one short story with task tokens, the process is killed at each call of a port in turn."""
    hit = set()
    for nth, call, broken in sweep(way, TOKEN_STORY):
        assert broken == [], f"{way}: call {nth}, {call}"
        hit.add(call)
    assert {"store.begin_answers", "store.drop_tokens", "store.late_tokens", "store.task_tokens", "sink.send"} <= hit


@pytest.mark.parametrize("bug", MUTANTS)
def test_the_oracle_finds_planted_bugs(bug: str) -> None:
    """Each known bug breaks a promise within 200 seeds."""
    mutant = MUTANTS[bug]
    assert any(judge(play(story, mutant.make)) for story in mutant.stories(SEARCHED))
