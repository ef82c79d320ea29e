"""What happens in one run, drawn from its seed: tasks, faults, kills. Data only; `play` makes it happen."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from random import Random

from tests.simulation.batch_kind import ALL_CLUSTERS, batch_ref
from watcher.runtime.settings import Limits

CONNECTORS = ("vc1", "vc2")
FAULTS = ("429", "500", "503", "conflict", "404", "reset", "hang", "slow", "garbage", "wrong-id", "stale", "empty")
"""Replies that a call to the service may get instead of a good one."""
TROUBLES = (
    *("service", "revoked", "expired", "quota"),  # the service
    *("queue", "sink", "postponing sink", "rejecting sink", "disk"),  # the peers
    *("clock", "suspended"),  # the process: its wall clock is set, or it does not run for a while
    "refusing sink",  # refuses every event, unlike a rejecting one, which accepts others meanwhile
    "misdirected",  # calls do not reach the service: something else answers, or nothing can be sent
)
DRAWN_AT_RANDOM = TROUBLES[:-2]
"""The troubles of which a story has some; the others are drawn one by one."""
MISSING, DENIED, ENDLESS = "missing-", "denied-", "endless-"
"""Prefixes of the ids of tasks (`DENIED`: of voice connectors) whose watch ends for a reason other than the end of the task."""
TONE = "tone-"
"""The prefix of the ids of voice tone analyses: another kind, whose calls count against another quota."""
ENDLESS_S = 60.0
"""The deadline that is submitted with a task that never ends."""
SHARDS = 4
"""The number of shards of a memory store that has several."""


@dataclass(frozen=True)
class Trouble:
    """A condition that lasts from `at` for `lasts_s` seconds. `name` is one of `TROUBLES`; `strength` is from 0 to 1."""

    name: str
    at: float
    lasts_s: float
    strength: float


@dataclass(frozen=True)
class Story:
    """One run. Times are virtual seconds since its beginning; shares are from 0 to 1."""

    seed: int
    durable: bool
    """The store survives the process."""
    tasks: tuple[tuple[float, str, str], ...]
    """(time of submission, connector, task id), some more than once."""
    invalid: tuple[float, ...]
    """When a message comes that names no task."""
    list_share: float
    """The share of submissions in a message that names several tasks, one of them invalid."""
    sinks: int
    lost_replies: float
    """The share of batches that a sink accepts and then fails to confirm."""
    lost_acks: float
    """The share of acknowledgements that fail."""
    hold_s: float
    disk_s: float
    """The longest time before a call of the store takes effect, and again before it returns."""
    latency_s: float
    """Of the sinks."""
    faults: dict[str, float]
    """The share of calls with each fault."""
    quota: float
    durations: str
    troubles: tuple[Trouble, ...]
    ends: tuple[tuple[float, str], ...]
    """(time, `kill` or `stop`) of each process of the watcher but the last."""
    erasures: tuple[tuple[float, str], ...]
    """(time, key)."""
    rate: float | None = None
    """The configured ceiling of the pace, in calls per second."""
    limits: Limits = field(default_factory=Limits)
    sqlite: bool = False
    """A durable store is a real SQLite file, instead of a memory store that outlives the process."""
    shards: int = 1
    """Of a memory store."""
    pending: int = 0
    """Watches in the store at the beginning."""
    cancellations: tuple[tuple[float, str], ...] = ()
    """(time, key)."""
    replies: float = 0.0
    """The share of submissions that are the reply of the call that started the task, the same for each submission of it."""
    batch_size: int = 0
    """The most tasks in one call about tasks of ECS; 0: the story has none. The connector of such a task is its cluster."""
    single_failures: dict[str, float] = field(default_factory=dict)
    """The share of tasks in the replies of such calls with each of the `SINGLE_FAILURES`."""
    pending_batch: int = 0
    """Watches of such tasks in the store at the beginning."""
    tokens: tuple[tuple[float, str, str, str], ...] = ()
    """(time of submission, connector, task id, task token): more submissions. With any, the last sink answers task tokens."""
    token_faults: dict[str, float] = field(default_factory=dict)
    """The share of calls of that sink with each of the `TOKEN_FAULTS`."""
    timeouts: dict[str, float] = field(default_factory=dict)
    """By token, the time at which its execution waits no longer."""
    heartbeat_s: float | None = None
    """Of that sink."""

    @property
    def submissions(self) -> list[tuple[float, str, str, str | None]]:
        """(time, connector, task id, task token) of each, in order of time."""
        plain = [(*task, None) for task in self.tasks]
        return sorted([*plain, *self.tokens], key=lambda each: each[0]) if self.tokens else plain

    @property
    def calm_at(self) -> float:
        """When the last trouble, submission, kill, erasure, and cancellation is over."""
        times = [trouble.at + trouble.lasts_s for trouble in self.troubles]
        times += [at for at, *_ in (*self.tasks, *self.tokens, *self.ends, *self.erasures, *self.cancellations)]
        return max([*times, *self.invalid]) + 1


def key_of(connector: str, task: str) -> str:
    """The key of the task with this id."""
    if connector in ALL_CLUSTERS:
        return batch_ref(connector, task).key
    return f"{'voice-tone' if task.startswith(TONE) else 'speaker-search'}/{connector}/{task}"


def draw_plain(seed: int) -> Story:
    """The story of this seed without calls about several tasks and without task tokens, which `drawing.py` adds.

    A new draw goes after all others: else every seed tells another story.
    """
    rng = Random(seed)
    names = [f"task-{n}" for n in range(rng.randint(3, 25))]
    tasks = [(rng.uniform(0, 40), rng.choice(CONNECTORS), name) for name in names]
    tasks += [(rng.uniform(0, 80), connector, name) for _, connector, name in tasks if rng.random() < 0.3]
    durable = rng.random() < 0.8
    story = Story(
        seed=seed,
        durable=durable,
        tasks=tuple(sorted(tasks)),
        invalid=tuple(rng.uniform(0, 60) for _ in range(rng.randint(0, 4))),
        list_share=rng.choice([0.0, 0.3]),
        sinks=rng.randint(1, 3),
        lost_replies=rng.choice([0.0, 0.0, 0.1, 0.3]),
        lost_acks=rng.choice([0.0, 0.1, 0.4]),
        hold_s=rng.choice([5.0, 30.0]) if durable else 20.0,
        disk_s=rng.choice([0.0, 0.02, 0.3]),
        latency_s=rng.choice([0.01, 0.2, 1.0]),
        faults={name: rng.choice([0.02, 0.08]) for name in FAULTS if rng.random() < 0.3},
        quota=rng.choice([3.0, 10.0, 50.0]),
        durations=rng.choice(["queue=exponential(1),run=10+exponential(4)", "run=fixed(0.5)", "queue=fixed(0),run=exponential(30)"]),
        troubles=tuple(
            Trouble(rng.choice(DRAWN_AT_RANDOM), rng.uniform(0, 90), rng.choice([3.0, 20.0, 90.0]), rng.random())
            for _ in range(rng.randint(0, 4))
        ),
        ends=tuple(sorted((rng.uniform(0.05, 120), rng.choice(["kill", "kill", "stop"])) for _ in range(rng.randint(0, 4)))),
        erasures=tuple((rng.uniform(2, 60), key_of(connector, name)) for _, connector, name in tasks if durable and rng.random() < 0.12),
    )
    return _cancelled(_misdirected(_harder(story, rng), Random(seed + 5)), Random(seed + 6))


def _cancelled(story: Story, rng: Random) -> Story:
    """Let an operator of some stories cancel some of the tasks."""
    if not story.durable or rng.random() >= 0.2:
        return story
    chosen = [(connector, task) for _, connector, task in story.tasks if rng.random() < 0.3]
    return replace(story, cancellations=tuple((rng.uniform(2, 60), key_of(*names)) for names in chosen))


def _misdirected(story: Story, rng: Random) -> Story:
    """Let the calls of some stories not reach the service for a while."""
    if rng.random() >= 0.2:
        return story
    trouble = Trouble("misdirected", rng.uniform(0, 60), rng.choice([1.0, 20.0, 90.0, 900.0]), rng.random())
    return replace(story, troubles=(*story.troubles, trouble))


def _harder(story: Story, rng: Random) -> Story:
    """Add tasks that end for other reasons, a quota that starts at 0, limits, a ceiling, another kind, and several shards."""
    special = [(connector, f"{ENDLESS}{n}") for n, connector in enumerate(CONNECTORS)] + [("vc1", f"{MISSING}1"), ("vc2", f"{MISSING}2")]
    special += [(f"{DENIED}vc", f"task-{n}") for n in range(2)]  # three denials of one connector look like trouble with our credentials
    tasks = [*story.tasks, *((rng.uniform(0, 60), *names) for names in special if rng.random() < 0.2)]
    no_quota = (Trouble("quota", 0.0, rng.choice([20.0, 90.0]), 0.0),) if rng.random() < 0.1 else ()
    harder = replace(
        story,
        tasks=tuple(sorted(tasks)),
        troubles=story.troubles + no_quota,
        rate=rng.choice([None, story.quota / 2, story.quota * 2]),
        limits=Limits(max_watches=rng.choice([100_000, 100_000, 5]), max_outbox=rng.choice([100_000, 100_000, 5])),
        sqlite=story.durable and rng.random() < 0.5,
        shards=SHARDS if story.seed % 3 == 0 else 1,
    )
    tones = [(rng.uniform(0, 60), rng.choice(CONNECTORS), f"{TONE}{n}") for n in range(rng.choice([0, 0, 6]))]
    refusing = (Trouble("refusing sink", rng.uniform(0, 60), rng.choice([20.0, 90.0, 400.0]), rng.random()),) if rng.random() < 0.2 else ()
    tasks, troubles = tuple(sorted([*harder.tasks, *tones])), harder.troubles + refusing
    return replace(harder, tasks=tasks, troubles=troubles, replies=rng.choice([0.0, 0.0, 0.6]))
