"""What happens in one run, drawn from its seed: tasks, faults, kills. Data only; `play` makes it happen."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from random import Random

from watcher.runtime.settings import Limits

CONNECTORS = ("vc1", "vc2")
FAULTS = ("429", "500", "503", "conflict", "404", "reset", "hang", "slow", "garbage", "wrong-id", "stale", "empty")
TROUBLES = ("service", "revoked", "expired", "quota", "queue", "sink", "fussy sink", "strict sink", "disk", "clock", "stopped")
MISSING, DENIED, ENDLESS = "missing-", "denied-", "endless-"
"""How a task id (a voice connector for `DENIED`) begins whose watch ends for a reason of its own: the simulator knows two of them."""
TONE = "tone-"
"""How the id of a voice tone analysis begins: another kind, whose calls count against another quota."""
ENDLESS_S = 60.0
"""The deadline that comes with a task that never ends."""


@dataclass(frozen=True)
class Trouble:
    """Something is wrong from `at` for `lasts` seconds. `strength` is 0..1."""

    what: str
    at: float
    lasts: float
    strength: float


@dataclass(frozen=True)
class Story:
    """A run. Times are virtual seconds from its beginning."""

    seed: int
    durable: bool
    tasks: tuple[tuple[float, str, str], ...]
    """(when submitted, connector, task id), some more than once."""
    poison: tuple[float, ...]
    lists: float
    """The share of submissions that come as a message naming several tasks, one of them no task."""
    sinks: int
    sink_dies: float
    ack_fails: float
    hold_s: float
    disk_s: float
    latency_s: float
    faults: dict[str, float]
    quota: float
    durations: str
    troubles: tuple[Trouble, ...]
    ends: tuple[tuple[float, str], ...]
    """(when, `kill` or `stop`) for all lives but the last."""
    forget: tuple[tuple[float, str], ...]
    """(when, key)."""
    rate: float | None = None
    """The configured ceiling of the pace, in calls per second."""
    limits: Limits = field(default_factory=Limits)
    sqlite: bool = False
    """What is durable stands in a real SQLite file, instead of a memory that is kept from life to life."""
    pending: int = 0
    """Watches that the store holds from an earlier life."""

    @property
    def calm_at(self) -> float:
        """From here on nothing goes wrong any more."""
        times = [t.at + t.lasts for t in self.troubles] + [at for at, _ in self.ends] + [at for at, *_ in self.tasks]
        return max([*times, *self.poison, *(at for at, _ in self.forget)]) + 1


def key_of(connector: str, task: str) -> str:
    """The key of the task of this name."""
    return f"{'voice-tone' if task.startswith(TONE) else 'speaker-search'}/{connector}/{task}"


def draw(seed: int) -> Story:
    """The story of this seed."""
    rng = Random(seed)
    names = [f"task-{n}" for n in range(rng.randint(3, 25))]
    tasks = [(rng.uniform(0, 40), rng.choice(CONNECTORS), name) for name in names]
    tasks += [(rng.uniform(0, 80), connector, name) for _, connector, name in tasks if rng.random() < 0.3]
    durable = rng.random() < 0.8
    story = Story(
        seed=seed,
        durable=durable,
        tasks=tuple(sorted(tasks)),
        poison=tuple(rng.uniform(0, 60) for _ in range(rng.randint(0, 4))),
        lists=rng.choice([0.0, 0.3]),
        sinks=rng.randint(1, 3),
        sink_dies=rng.choice([0.0, 0.0, 0.1, 0.3]),
        ack_fails=rng.choice([0.0, 0.1, 0.4]),
        hold_s=rng.choice([5.0, 30.0]) if durable else 20.0,
        disk_s=rng.choice([0.0, 0.02, 0.3]),
        latency_s=rng.choice([0.01, 0.2, 1.0]),
        faults={name: rng.choice([0.02, 0.08]) for name in FAULTS if rng.random() < 0.3},
        quota=rng.choice([3.0, 10.0, 50.0]),
        durations=rng.choice(["queue=exponential(1),run=10+exponential(4)", "run=fixed(0.5)", "queue=fixed(0),run=exponential(30)"]),
        troubles=tuple(
            Trouble(rng.choice(TROUBLES), rng.uniform(0, 90), rng.choice([3.0, 20.0, 90.0]), rng.random()) for _ in range(rng.randint(0, 4))
        ),
        ends=tuple(sorted((rng.uniform(0.05, 120), rng.choice(["kill", "kill", "stop"])) for _ in range(rng.randint(0, 4)))),
        forget=tuple((rng.uniform(2, 60), key_of(connector, name)) for _, connector, name in tasks if durable and rng.random() < 0.12),
    )
    return _harder(story, rng)


def _harder(story: Story, rng: Random) -> Story:
    """With tasks that end for a reason of their own, a fresh account, limits and a ceiling."""
    odd = [(connector, f"{ENDLESS}{n}") for n, connector in enumerate(CONNECTORS)] + [("vc1", f"{MISSING}1"), ("vc2", f"{MISSING}2")]
    odd += [(f"{DENIED}vc", f"task-{n}") for n in range(2)]  # three of one connector would be taken for trouble of ours
    tasks = [*story.tasks, *((rng.uniform(0, 60), *names) for names in odd if rng.random() < 0.2)]
    fresh = (Trouble("quota", 0.0, rng.choice([20.0, 90.0]), 0.0),) if rng.random() < 0.1 else ()
    harder = replace(
        story,
        tasks=tuple(sorted(tasks)),
        troubles=story.troubles + fresh,
        rate=rng.choice([None, story.quota / 2, story.quota * 2]),
        limits=Limits(max_watches=rng.choice([100_000, 100_000, 5]), max_outbox=rng.choice([100_000, 100_000, 5])),
        sqlite=story.durable and rng.random() < 0.5,
    )
    tones = [(rng.uniform(0, 60), rng.choice(CONNECTORS), f"{TONE}{n}") for n in range(rng.choice([0, 0, 6]))]
    return replace(harder, tasks=tuple(sorted([*harder.tasks, *tones])))
