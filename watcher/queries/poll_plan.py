"""When an open task is polled next, and why: the rule of the cadence, computed again from what the watcher saved.

A poll that changes nothing is not stored, so the store does not know when the last poll was. The plan says how long the
gaps between polls are, not at which time the next call goes.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import Any

from watcher.core.polling.announcements import LEAST_SHARE
from watcher.core.polling.cadence import Cadence, CadenceSettings
from watcher.core.polling.call_progress import CallState
from watcher.core.polling.lane import ADOPTED
from watcher.core.polling.open_circuits import OpenCircuit
from watcher.core.polling.poll_errors import DENIED_TRIES, PARKED_S, UNREADABLE_TRIES, wait_range
from watcher.core.polling.transitions import WatchSettings
from watcher.kinds.kind import Kind
from watcher.model import DEFAULT_TARGET, Watch

TROUBLE: Mapping[str, str] = {
    "not_found": "not found",
    "denied": "access denied",
    "busy": "busy with another client",
    "throttled": "throttled",
    "unavailable": "no answer",
    "credentials": "credentials rejected",
    "unreadable": "reply not readable",
    "batch": "a call about several tasks failed",
}
"""What the last poll of an open task showed in place of the task, by the reason of the error."""
RETRY_RULES: Mapping[str, str] = {
    "not_found": "; after watch.not_found_grace without the task, the watch ends",
    "denied": f"; denial {DENIED_TRIES} ends the watch",
    "busy": "; each conflict doubles the wait",
    "unavailable": ", at a random time; the longest wait doubles with each failure up to this",
    "unreadable": (
        f", at a random time; the longest wait doubles with each failure, and from failure {UNREADABLE_TRIES} in a row on"
        f" it is {PARKED_S[0]:g} to {PARKED_S[1]:g} s"
    ),
}
"""How the wait after a failed poll develops, by the reason of the error."""
BACKLOG = (
    "adopted: the watcher read this watch from the store when it started, or when it took over its shard, and no poll since then is"
    " saved: it is due now, in the backlog; while new tasks are due too, the backlog gets half of the calls"
)
"""Why an open task that came with its shard waits."""
SAVED_STATE_AGE = "from what the watcher saved last; while it runs, that is at most 30 s old"


@dataclass(frozen=True, slots=True)
class PollSettings:
    """The settings that decide when a task is polled again."""

    watch: WatchSettings
    cadence: CadenceSettings
    granted: bool = False
    """Whether `pace.rate` is set."""


@dataclass(frozen=True, slots=True)
class LearnedState:
    """What the watcher saved last about a quota, as text, the number of open tasks whose calls count against it, and what holds calls."""

    cadence: str | None
    pace: str | None
    open_tasks: int
    circuits: Sequence[OpenCircuit] = ()
    """The open circuits that hold the calls about the task."""
    last_call: CallState | None = None
    """The last poll of the task that is saved."""


@dataclass(frozen=True, slots=True)
class PollPlan:
    """The gap between two polls of a task, and how it was found. Times are seconds, the pace is calls per second."""

    rule: str
    """`cadence.type`."""
    age_s: float
    """Of the status, now."""
    gap_s: float
    """The longest gap between two polls at this age."""
    lag_s: float
    """The lag that is expected to accrue in that gap."""
    price_s: float
    spare_gap_s: float | None
    """The gap after which a spare call is spent on this task; None: there is none shorter than `gap_s`."""
    samples: int
    """The number of durations of this status that were learned."""
    pace: float | None
    open_tasks: int
    why: Sequence[str]
    """The reasons, in sentences."""
    open_circuits: Sequence[str] = ()
    """The components of `/readyz` that hold the calls."""
    last_error: str | None = None
    """Why the last poll that is saved failed, by the reason of the error. None: it did not fail, or it is not saved."""
    retry_s: tuple[float, float] | None = None
    """The shortest and the longest wait after that poll, in place of `gap_s`. None: no wait, or no error."""
    announced_share: float | None = None
    """The share of the changes of this status that AWS is expected to announce. None: none was announced so far."""

    def as_json(self) -> dict[str, Any]:
        """The JSON form."""
        return {**asdict(self), "as_of": SAVED_STATE_AGE}


def plan_polls(watch: Watch, kind: Kind | None, learned: LearnedState, settings: PollSettings, now: float) -> PollPlan:
    """Return the plan for an open watch. `kind` is None if the catalog does not have it; `now` is seconds since the epoch."""
    name, status = watch.ref.kind, watch.status
    pace = _read_pace(learned.pace)
    cadence = _restore_cadence(settings, kind, learned, pace)
    age = 0.0 if watch.status_since is None else max(0.0, now - watch.status_since)
    spare = math.inf
    if status is None:
        gap = 0.0 if cadence.has_spare_calls else cadence.first_gap(name, "")
    else:
        gap = cadence.gap(name, status, age, polls=watch.polls)
        if settings.cadence.type == "accrual":
            spare = cadence.spare_gap(name, status, age)
    error = None if learned.last_call is None or learned.last_call.reason not in TROUBLE else learned.last_call.reason
    announcements = cadence.announcements.get(name, status)
    failures = None if learned.last_call is None or status is not None else learned.last_call.polls
    plan = PollPlan(
        rule=settings.cadence.type,
        age_s=age,
        gap_s=gap,
        lag_s=cadence.worth(name, status, age, gap),
        price_s=cadence.price,
        spare_gap_s=spare if spare < gap else None,
        samples=len(cadence.durations(name, status).samples),
        pace=pace,
        open_tasks=learned.open_tasks,
        why=(),
        last_error=error,
        retry_s=None if error is None else wait_range(error, settings.watch, failures=failures),
        announced_share=None if announcements is None else round(announcements.current_share, 4),
    )
    held = [sentence for circuit in learned.circuits for sentence in _held(circuit)]
    why = (*held, *_reasons(plan, watch, learned, cadence), _share(plan, watch.ref.target))
    return replace(plan, why=why, open_circuits=[circuit.component for circuit in learned.circuits])


def _held(circuit: OpenCircuit) -> tuple[str, str]:
    since = datetime.fromtimestamp(circuit.since, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    return f"{circuit.component} is {circuit.reason}, since {since}: only single calls are made until it closes", circuit.hint


def _restore_cadence(settings: PollSettings, kind: Kind | None, learned: LearnedState, pace: float | None) -> Cadence:
    """The cadence as the watcher has it: its samples, its price, and the longest gap for this number of tasks and this pace."""
    cadence = Cadence(settings.cadence, [] if kind is None else [kind], granted=settings.granted)
    if learned.cadence is not None:
        cadence.restore(learned.cadence)
    if pace is not None:
        cadence.share(max(1, learned.open_tasks), pace)
    return cadence


def _read_pace(text: str | None) -> float | None:
    try:
        rate = float(text or "")
    except ValueError:
        return None
    return rate if math.isfinite(rate) and rate > 0 else None


def _reasons(plan: PollPlan, watch: Watch, learned: LearnedState, cadence: Cadence) -> Iterator[str]:
    if plan.last_error is not None:
        yield _retry(plan, plan.last_error)
        return
    if learned.last_call is not None and learned.last_call.reason == ADOPTED:
        yield BACKLOG
        return
    if watch.status is None and learned.last_call is not None:
        yield f"no poll has seen the task yet; polls that are saved: {learned.last_call.polls}"
        return
    if watch.status is None:
        yield _first_look(plan, watch, cadence)
        return
    yield f"{plan.gap_s:.2f} s after the last poll: {_rule(plan, cadence)}"
    if plan.spare_gap_s is not None:
        saved = f"a call then saves {cadence.floor:g} s of lag"
        yield f"{plan.spare_gap_s:.2f} s after the last poll if there is a spare call: {saved}"
    yield from _announcements(watch, cadence)


def _announcements(watch: Watch, cadence: Cadence) -> Iterator[str]:
    """How far notifications of AWS about such a task are trusted, if any came so far."""
    known = cadence.announcements.get(watch.ref.kind, watch.status)
    if known is None or cadence.settings.type != "accrual":
        return
    yield "at once when a notification of AWS comes"
    said = f"notifications announced {known.share:.0%} of the changes from {watch.status}"
    if known.trust.share:
        yield f"{said}, {known.delay_s:.1f} s after them on average: without one the task has probably not changed, so the gap is longer"
    elif known.share < LEAST_SHARE:
        yield f"{said}: too few to wait for them"
    else:
        yield f"{said}, but about {known.missing:.0f} are missing since the last one: the watcher does not wait for them until one comes"


def _retry(plan: PollPlan, error: str) -> str:
    """When a task is polled again after a poll that failed."""
    failed = f"the last poll that is saved failed ({error}: {TROUBLE[error]})"
    if plan.retry_s is None:
        return f"{failed}: the task is due again at once; only the pace or an open circuit can delay it"
    low, high = plan.retry_s
    when = f"the next one follows {f'{low:g} to' if low else 'at most'} {high:g} s after it"
    return f"{failed}: {when}{RETRY_RULES.get(error, '')}"


def _first_look(plan: PollPlan, watch: Watch, cadence: Cadence) -> str:
    """When the first look at a task is due."""
    if plan.gap_s <= 0:
        return "no poll of the task is saved yet: the first look is due now; only the pace or an open circuit can delay it"
    chance = cadence.first_looks.chance(watch.ref.kind, "")
    return (
        f"no poll of the task is saved yet: the first look is due {plan.gap_s:.2f} s after the submission, or at once while"
        f" calls are not scarce; of the last tasks, {chance:.0%} had left their first status when they were submitted"
    )


def _rule(plan: PollPlan, cadence: Cadence) -> str:
    """What decides the gap: a setting, a bound, or the price."""
    settings = cadence.settings
    if settings.type == "fixed":
        return "cadence.type is fixed"
    if settings.type == "backoff":
        return f"cadence.type is backoff, from {settings.every:g} s, doubling up to {settings.max_gap:g} s"
    lag = f"the expected lag by then is {_lag(plan.lag_s)}, and the price of a call is {_lag(plan.price_s)}"
    if plan.gap_s >= settings.max_gap:
        return f"the longest gap, cadence.max_gap; {lag}"
    if plan.gap_s <= settings.min_gap:
        return f"the shortest gap, cadence.min_gap; {lag}"
    if plan.gap_s == cadence.share_gap:
        return f"the longest gap while calls are scarce, 6 x tasks / pace; {lag}"
    model = f"learned from {plan.samples} tasks" if plan.samples else "by the prior, because nothing is learned yet"
    limit = "cadence.price_floor, the least lag that a call must save" if plan.gap_s > cadence.share_gap else "the price of a call"
    return f"the expected lag by then ({model}) is {_lag(plan.lag_s)}, which is {limit}"


def _lag(seconds: float) -> str:
    """A lag in seconds. The least one that a call may have to save is a millisecond."""
    return f"{seconds:.3f} s" if seconds < 0.1 else f"{seconds:.2f} s"


def _share(plan: PollPlan, target: str) -> str:
    name = "the pace" if target == DEFAULT_TARGET else f"the pace of the target {target}"
    if plan.pace is None:
        return f"{name} is not saved yet; open tasks that share it: {plan.open_tasks}"
    return f"{name} is {plan.pace:.3g} calls/s; open tasks that share it: {plan.open_tasks}; a call that is due may have to wait"
