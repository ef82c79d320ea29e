"""One short story with every stage in it, run again and again: something goes wrong at the first call, the second, the third …"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from tests.simulation.fuse import Fuse
from tests.simulation.oracle import judge
from tests.simulation.play import play
from tests.simulation.story import Story, Trouble

WAYS: dict[str, dict[str, object]] = {
    "killed before": {"act": "kill", "before": True},
    "killed after": {"act": "kill", "before": False},
    "fails once": {"act": "fail", "before": True},
    "fails once after it took effect": {"act": "fail", "before": False},
    "fails ten times": {"act": "fail", "before": True, "lasts": 10},
}

STORY = Story(
    seed=5,
    durable=True,
    tasks=((0.0, "vc1", "task-1"), (0.5, "vc2", "task-2"), (0.6, "vc1", "task-1")),
    poison=(0.3,),
    lists=0.0,
    sinks=2,
    sink_dies=0.0,
    ack_fails=0.0,
    hold_s=5.0,
    disk_s=0.0,
    latency_s=0.01,
    faults={},
    quota=50.0,
    durations="queue=fixed(0.5),run=fixed(2)",
    troubles=(),
    ends=(),
    forget=(),
)


SCENES: dict[str, Story] = {
    "not found at first, and the clock set forward": replace(STORY, faults={"404": 1.0}, troubles=(Trouble("clock", 4.0, 1.0, 1.0),)),
    "ten minutes stopped": replace(STORY, rate=5.0, troubles=(Trouble("stopped", 1.5, 60.0, 0.0),)),
    "a restart with many pending": replace(STORY, rate=20.0, pending=300),
    "a quota of 0 until it is raised": replace(STORY, rate=5.0, troubles=(Trouble("quota", 0.0, 300.0, 0.0),)),
}
"""Faults that are too long, or too rare, to be drawn."""


def sweep(way: str, story: Story = STORY, first: int = 1, step: int = 1) -> Iterator[tuple[int, str, list[str]]]:
    """(N, the call it was, promises broken) for N = first, first + step … until a run has fewer calls than N."""
    nth = first
    while True:
        fuse = Fuse(nth, **WAYS[way])  # type: ignore[arg-type]
        broken = judge(play(story, fuse=fuse))
        yield nth, fuse.blown, broken
        if not fuse.blown:
            return
        nth += step
