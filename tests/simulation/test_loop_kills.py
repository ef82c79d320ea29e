"""A kill can come at any await: the process is killed at each iteration of the event loop in turn."""

from __future__ import annotations

from dataclasses import replace

import pytest
from structlog.testing import capture_logs

from tests.simulation.loop_fuse import LoopFuse
from tests.simulation.oracle import judge
from tests.simulation.play import play
from tests.simulation.sweep import SHORT_STORY

STEP = {False: 1, True: 7}
"""By `sqlite`: with a file, which is slower, every seventh iteration, since the stages are the same."""


@pytest.mark.parametrize(
    "sqlite", [pytest.param(False, id="memory", marks=pytest.mark.long), pytest.param(True, id="sqlite", marks=pytest.mark.slow)]
)
def test_every_promise_holds_whenever_the_process_is_killed(sqlite: bool) -> None:
    """At the first iteration of the loop, the second, and so on, until a process has fewer."""
    story, nth = replace(SHORT_STORY, sqlite=sqlite), 1
    while True:
        fuse = LoopFuse(nth)
        with capture_logs():
            broken = judge(play(story, fuse=fuse))  # type: ignore[arg-type]  # it has what `play` uses of a fuse
        assert broken == [], f"killed at iteration {nth}"
        if not fuse.blown:
            break
        nth += STEP[sqlite]
    assert nth > 150, "a process of a few iterations does not have every stage"
