"""What happens to a fleet, drawn from its seed: when processes start and end, and trouble between the replicas and their store."""

from __future__ import annotations

from dataclasses import dataclass, replace
from random import Random

from tests.simulation.story import Story, Trouble, draw_plain

TROUBLES = ("frozen", "cut off", "hanging", "slow link", "store down", "slow store")
"""`frozen`: nothing of a replica runs. `cut off`: its calls of the store fail. `hanging`: they do not return. The last two are
of the store itself."""
LEASE_S, RENEW_S = 15.0, 5.0


@dataclass(frozen=True)
class Life:
    """One process of a replica: from `start` until `end`, by `kill` or `stop`. An infinite end: it runs until the last work is done."""

    replica: int
    start: float
    end: float
    how: str


@dataclass(frozen=True)
class FleetTrouble:
    """A condition of one replica, or of the store, from `at` for `lasts_s` seconds. `strength` is from 0 to 1."""

    name: str
    replica: int
    at: float
    lasts_s: float
    strength: float


@dataclass(frozen=True)
class FleetStory:
    """A story of several replicas. Times are virtual seconds since the beginning."""

    story: Story
    lives: tuple[Life, ...]
    troubles: tuple[FleetTrouble, ...]
    skews: tuple[float, ...]
    """For each replica, by how many seconds its wall clock is ahead."""
    lost_answers: float
    """The share of store calls that take effect, and whose answer is lost."""
    lost_signals: float
    """The share of signals that are lost."""
    retries: tuple[float, ...]
    """When an operator requests a retry of all dead letters."""

    @property
    def calm_at(self) -> float:
        """When everything that was planned has happened."""
        times = [trouble.at + trouble.lasts_s for trouble in self.troubles]
        times += [life.start for life in self.lives] + [life.end for life in self.lives if life.how]
        return max([self.story.calm_at, *times, *self.retries]) + 1


def draw_fleet(seed: int) -> FleetStory:
    """The fleet story of this seed, on top of the story of the same seed. A new draw goes after all others."""
    base, rng = draw_plain(seed), Random(seed + 7)
    replicas = rng.choice([2, 2, 3])
    shards = rng.choice([1, 4, 8, 16])
    story = replace(base, durable=True, sqlite=False, pending=0, ends=(), shards=shards, hold_s=rng.choice([5.0, 30.0]))
    if rng.random() < 0.25:  # dead letters, to be retried by whichever replica owns them then
        rejecting = Trouble("rejecting sink", rng.uniform(0, 40), rng.choice([20.0, 60.0]), rng.uniform(0.2, 0.7))
        story = replace(story, troubles=(*story.troubles, rejecting))
    lives = _rolling_restart(replicas, rng) if rng.random() < 0.2 else _lives(replicas, rng)
    lasts = {"frozen": (2.0, 12.0, 20.0, 60.0), "slow link": (20.0, 60.0), "slow store": (20.0, 60.0)}
    troubles = [
        FleetTrouble(name, rng.randrange(replicas), rng.uniform(0, 90), rng.choice(lasts.get(name, (3.0, 12.0, 20.0, 60.0))), rng.random())
        for name in (rng.choice(TROUBLES) for _ in range(rng.randint(0, 4)))
    ]
    return FleetStory(
        story,
        lives,
        tuple(troubles),
        tuple(rng.choice([0.0, 0.0, 600.0, -600.0]) for _ in range(replicas)),
        lost_answers=rng.choice([0.0, 0.0, 0.03, 0.15]),
        lost_signals=rng.choice([0.0, 0.0, 0.5, 1.0]),
        retries=tuple(rng.uniform(20, 120) for _ in range(rng.choice([0, 2, 2]))),
    )


def _lives(replicas: int, rng: Random) -> tuple[Life, ...]:
    """Each replica starts at its own time, and ends and starts again up to twice; all but the first may end for good."""
    lives = []
    for replica in range(replicas):
        start = rng.choice([0.0, 0.0, rng.uniform(0, 30)])
        for _ in range(rng.choice([0, 0, 1, 2])):
            end = start + rng.uniform(0.05, 60)
            lives.append(Life(replica, start, end, rng.choice(["kill", "stop"])))
            start = end + rng.choice([0.1, 3.0, 30.0])
        if replica and rng.random() < 0.2:
            lives.append(Life(replica, start, start + rng.uniform(5, 60), rng.choice(["kill", "stop"])))
        else:
            lives.append(Life(replica, start, float("inf"), ""))
    return tuple(lives)


def _rolling_restart(replicas: int, rng: Random) -> tuple[Life, ...]:
    """One replica after the other is stopped and started again, as during an update."""
    at, step = rng.uniform(5, 60), rng.choice([1.0, 10.0, 30.0])
    lives = []
    for replica in range(replicas):
        end = at + replica * step
        lives += [Life(replica, 0.0, end, "stop"), Life(replica, end + rng.choice([0.5, 5.0]), float("inf"), "")]
    return tuple(lives)
