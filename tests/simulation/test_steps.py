"""A kill may come at any await: every one of a story that has all stages in it."""

from __future__ import annotations

from dataclasses import replace

import pytest
from structlog.testing import capture_logs

from tests.simulation.oracle import judge
from tests.simulation.play import play
from tests.simulation.steps import StepFuse
from tests.simulation.sweep import STORY

STEP = {False: 1, True: 7}
"""With SQLite each seventh turn of the loop: its stages are the same, and a file is slower."""


@pytest.mark.parametrize("sqlite", [False, True])
def test_a_kill_may_come_at_any_turn_of_the_loop(sqlite: bool) -> None:
    """At the first turn, the second … until a life has fewer: the promises hold each time."""
    story, nth = replace(STORY, sqlite=sqlite), 1
    while True:
        fuse = StepFuse(nth)
        with capture_logs():
            broken = judge(play(story, fuse=fuse))
        assert broken == [], f"killed at turn {nth}"
        if not fuse.blown:
            break
        nth += STEP[sqlite]
    assert nth > 300, "a life of a few turns has not every stage in it"
