"""Why a task is asked about again when: the cadence's own rule, recomputed outside of the watcher from its last note.

An unchanged poll writes nothing, so the store does not know the last look. It says how long the gaps are, not when the next call goes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from watcher.cli.tables import counted
from watcher.config import Settings
from watcher.core.polling.cadence import PROVISIONAL_GAP_S, Cadence
from watcher.kinds.catalog import builtin_catalog
from watcher.kinds.kind import Phase
from watcher.model import Watch


@dataclass(frozen=True, slots=True)
class LearnedState:
    """What the watcher wrote down last, and how many tasks share its calls."""

    cadence: str | None
    pace: str | None
    open_tasks: int


@dataclass(frozen=True, slots=True)
class PollPlan:
    """Times in seconds, the pace in calls per second."""

    rule: str
    age_s: float
    gap_s: float
    """At this age: the longest from one look to the next."""
    lag_s: float
    """Expected to accrue in that gap."""
    price_s: float
    spare_gap_s: float | None
    """With calls to spare, already after this; None: it is never worth one."""
    samples: int
    """Durations of this status that were learned."""
    pace: float | None
    open_tasks: int
    why: Sequence[str]
    """The rule in sentences."""


def schedule(watch: Watch, settings: Settings, notes: LearnedState, now: float) -> PollPlan:
    """For an open watch. `now` is wall time in seconds."""
    kind, status = watch.ref.kind, watch.status
    known = builtin_catalog().get(kind)
    phase = known.phase(status) if known is not None and status is not None else Phase.OPEN
    pace = _pace(notes.pace)
    cadence = _cadence(settings, notes, pace)
    age = 0.0 if watch.status_since is None else max(0.0, now - watch.status_since)
    provisional = phase is Phase.PROVISIONAL and settings.watch.partial_success != "transient"
    gap = cadence.gap(kind, status, age, polls=watch.polls, provisional=provisional) if status is not None else 0.0
    spare = math.inf
    if settings.cadence.type == "accrual" and status is not None:
        spare = cadence.spare_gap(kind, status, age, provisional=provisional)
    found = PollPlan(
        rule=settings.cadence.type,
        age_s=age,
        gap_s=gap,
        lag_s=cadence.worth(kind, status, age, gap),
        price_s=cadence.price,
        spare_gap_s=spare if spare < gap else None,
        samples=len(cadence.durations(kind, status).samples),
        pace=pace,
        open_tasks=notes.open_tasks,
        why=(),
    )
    return _told(found, watch, cadence, provisional)


def _cadence(settings: Settings, notes: LearnedState, pace: float | None) -> Cadence:
    """As the watcher has it: what it learned, its price, and the longest gap that so few tasks at this pace leave."""
    cadence = Cadence(settings.cadence)
    if notes.cadence is not None:
        cadence.restore(notes.cadence)
    if pace:
        cadence.share(max(1, notes.open_tasks), pace)
    return cadence


def _pace(note: str | None) -> float | None:
    try:
        rate = float(note or "")
    except ValueError:
        return None
    return rate if math.isfinite(rate) and rate > 0 else None


def _told(found: PollPlan, watch: Watch, cadence: Cadence, provisional: bool) -> PollPlan:
    first = watch.status is None
    why = ["it was never seen: the first look is due at once, and waits only for the pace or for trouble in asking"] if first else []
    why += [] if first else [_rule(found, cadence, provisional)]
    if found.spare_gap_s is not None and not first:
        floor = cadence.settings.price_floor
        why.append(f"with calls to spare, already {found.spare_gap_s:.2f} s after it: by then a call saves {floor:g} s of lag")
    if found.pace is None:
        why.append(f"{counted(found.open_tasks, 'open task')} to share the pace, which is not written down yet")
    else:
        why.append(f"{counted(found.open_tasks, 'open task')} to share {found.pace:.3g} calls/s: a call that is due may wait its turn")
    return replace(found, why=tuple(why))


def _rule(found: PollPlan, cadence: Cadence, provisional: bool) -> str:
    settings, gap = cadence.settings, f"{found.gap_s:.2f} s after the last look"
    if settings.type == "fixed":
        return f"{gap}: cadence.type is fixed"
    if settings.type == "backoff":
        return f"{gap}: cadence.type is backoff, from {settings.every:g} s doubling up to {settings.max_gap:g} s"
    if provisional and found.gap_s <= PROVISIONAL_GAP_S:
        return f"{gap}: the status is provisional, and asked about no faster than that"
    worth = f"{found.lag_s:.2f} s of lag is expected to accrue in it, and the price of a call is {found.price_s:.2f} s"
    if found.gap_s >= settings.max_gap:
        return f"{gap}: the longest gap, cadence.max_gap; {worth}"
    if found.gap_s <= settings.min_gap:
        return f"{gap}: the shortest gap, cadence.min_gap; {worth}"
    if found.gap_s == cadence.share_gap:
        return f"{gap}: the longest gap while calls are scarce, 6 x tasks / pace; {worth}"
    learned = f"learned from {found.samples} tasks" if found.samples else "by the prior, nothing is learned yet"
    enough = "cadence.price_floor: a call that saves less is not made" if found.gap_s > cadence.share_gap else "the price of a call"
    return f"{gap}: by then the lag expected to have accrued ({learned}), {found.lag_s:.2f} s, reaches {enough}"
