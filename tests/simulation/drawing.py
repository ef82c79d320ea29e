"""Draws the whole story of a seed: the plain one, to some of them tasks of a batch kind, and to some of them task tokens.

Each addition has random numbers of its own, so that the other stories stay as they are.
"""

from __future__ import annotations

from dataclasses import replace
from random import Random

from tests.simulation.batch_kind import BROKEN, CLUSTERS, DENIED_CLUSTER, LATE, SIZES, STUCK
from tests.simulation.executions import TOKEN_FAULTS, TOKEN_MARK
from tests.simulation.single_failures import SINGLE_FAILURES
from tests.simulation.story import DENIED, MISSING, Story, draw_plain, key_of

WITH_BATCHES, WITH_TOKENS = 0.25, 0.25
"""The shares of stories."""


def draw(seed: int) -> Story:
    """The story of this seed. A new draw goes after all others: else every seed tells another story."""
    return _with_tokens(_with_batches(draw_plain(seed), Random(seed + 8)), Random(seed + 9))


def _with_batches(story: Story, rng: Random) -> Story:
    """Add tasks of a batch kind to some stories: ordinary ones, and some whose watch ends for another reason than their end."""
    if rng.random() >= WITH_BATCHES:
        return story
    tasks = [(rng.uniform(0, 40), rng.choice(CLUSTERS), f"batch-{n}") for n in range(rng.randint(4, 16))]
    tasks += [(rng.uniform(0, 80), cluster, name) for _, cluster, name in tasks if rng.random() < 0.2]
    special = [(rng.choice(CLUSTERS), f"{prefix}{n}") for prefix in (MISSING, DENIED, STUCK, BROKEN, LATE) for n in range(2)]
    special += [(DENIED_CLUSTER, f"batch-{n}") for n in range(2)]  # three denials of one cluster look like trouble with our credentials
    tasks += [(rng.uniform(0, 60), *names) for names in special if rng.random() < 0.25]
    keys = [key_of(cluster, name) for _, cluster, name in tasks]
    erasures = [(rng.uniform(2, 60), key) for key in keys if story.durable and rng.random() < 0.08]
    cancellations = [(rng.uniform(2, 60), key) for key in keys if story.cancellations and rng.random() < 0.2]
    return replace(
        story,
        tasks=tuple(sorted([*story.tasks, *tasks])),
        erasures=(*story.erasures, *erasures),
        cancellations=(*story.cancellations, *cancellations),
        batch_size=rng.choice(SIZES),
        single_failures={name: rng.choice([0.02, 0.1]) for name in SINGLE_FAILURES if rng.random() < 0.4},
    )


def _with_tokens(story: Story, rng: Random) -> Story:
    """Let executions wait for some tasks of some stories: from the start, since a later time, or only after the end."""
    if rng.random() >= WITH_TOKENS:
        return story
    found = []
    for at, connector, task in story.tasks:
        while rng.random() < 0.4:
            found.append((rng.choice([at - 0.001, at + rng.uniform(0, 20), rng.uniform(90, 150)]), connector, task))
    tokens = [(max(0.0, at), connector, task, token_of(story.seed, n)) for n, (at, connector, task) in enumerate(sorted(found))]
    return replace(
        story,
        tokens=tuple(tokens),
        token_faults={name: rng.choice([0.05, 0.15]) for name in TOKEN_FAULTS if rng.random() < 0.4},
        timeouts={token: at + rng.choice([1.0, 10.0, 60.0]) for at, _, _, token in tokens if rng.random() < 0.15},
        heartbeat_s=rng.choice([None, 10.0, 30.0]),
    )


def token_of(seed: int, number: int) -> str:
    """A task token, which is like no other text."""
    return f"{TOKEN_MARK}-{seed}-{number}-"
