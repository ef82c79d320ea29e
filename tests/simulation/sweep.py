"""One short story with every stage in it, played again and again: trouble at the first call, at the second, and so on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from tests.simulation.batch_kind import DENIED_CLUSTER
from tests.simulation.drawing import token_of
from tests.simulation.fuse import Fuse
from tests.simulation.oracle import judge
from tests.simulation.play import play
from tests.simulation.story import Story, Trouble

WAYS: dict[str, dict[str, object]] = {
    "killed before it takes effect": {"act": "kill", "before": True},
    "killed after it took effect": {"act": "kill", "before": False},
    "fails once": {"act": "fail", "before": True},
    "fails once after it took effect": {"act": "fail", "before": False},
    "fails ten times": {"act": "fail", "before": True, "lasts": 10},
}
"""What happens at a call: the arguments of its fuse."""

SHORT_STORY = Story(
    seed=5,
    durable=True,
    tasks=((0.0, "vc1", "task-1"), (0.5, "vc2", "task-2"), (0.6, "vc1", "task-1")),
    invalid=(0.3,),
    list_share=0.0,
    sinks=2,
    lost_replies=0.0,
    lost_acks=0.0,
    hold_s=5.0,
    disk_s=0.0,
    latency_s=0.01,
    faults={},
    quota=50.0,
    durations="queue=fixed(0.5),run=fixed(2)",
    troubles=(),
    ends=(),
    erasures=(),
    replies=0.5,
)

TOKEN_STORY = replace(
    SHORT_STORY,
    tasks=((0.0, "vc1", "task-1"),),
    invalid=(),
    sinks=1,
    tokens=((0.0, "vc1", "task-1", token_of(5, 0)), (8.0, "vc1", "task-1", token_of(5, 1))),
)
"""A story as short, in which an execution waits for a task, and another one begins to wait after its end."""

MANY_IN_A_BATCH = "a restart with many pending watches of a batch kind"
ALL_FAIL = "tasks whose calls fail as a whole"
MANY_WAIT_FOR_ONE = "many executions that wait for one task"
RARE_STORIES: dict[str, Story] = {
    "not found at first, and the clock set forward": replace(SHORT_STORY, faults={"404": 1.0}, troubles=(Trouble("clock", 4.0, 1.0, 1.0),)),
    "ten minutes suspended": replace(SHORT_STORY, rate=5.0, troubles=(Trouble("suspended", 1.5, 60.0, 0.0),)),
    "a restart with many pending watches": replace(SHORT_STORY, rate=20.0, pending=300),
    MANY_IN_A_BATCH: replace(SHORT_STORY, tasks=(), rate=1.0, sinks=1, batch_size=20, pending_batch=100),
    ALL_FAIL: replace(
        SHORT_STORY,
        tasks=(
            *((0.0, "blue", task) for task in ("batch-1", "broken-1")),
            *((0.0, DENIED_CLUSTER, task) for task in ("batch-1", "batch-2")),
        ),
        rate=1.0,
        sinks=1,
        batch_size=5,
    ),
    MANY_WAIT_FOR_ONE: replace(
        SHORT_STORY,
        sinks=1,
        tokens=tuple((0.0, "vc1", "task-1", token_of(5, n)) for n in range(20)),
        token_faults={"answer throttled": 0.3},
    ),
    "a quota of 0 until it is raised": replace(SHORT_STORY, rate=5.0, troubles=(Trouble("quota", 0.0, 300.0, 0.0),)),
    "a sink that refuses everything for two hours": replace(
        SHORT_STORY,
        tasks=tuple((float(n), "vc1", f"task-{n}") for n in range(5)),
        troubles=(Trouble("refusing sink", 1.0, 7200.0, 0.0),),
        ends=((1800.0, "kill"), (3600.0, "stop")),
    ),
}
"""Stories that are too long, or too rare, to be drawn."""


def sweep(way: str, story: Story = SHORT_STORY, first: int = 1, step: int = 1) -> Iterator[tuple[int, str, list[str]]]:
    """(n, the call, broken promises) for n = first, first + step, and so on, until a run has fewer than n calls."""
    nth = first
    while True:
        fuse = Fuse(nth, **WAYS[way])  # type: ignore[arg-type]  # the table has the arguments of one constructor
        broken = judge(play(story, fuse=fuse))
        yield nth, fuse.blown, broken
        if not fuse.blown:
            return
        nth += step
