"""What an observation means for a watch: the one place where a status change becomes an event."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from typing import Literal

from pydantic import Field

from watcher.kinds import Kind, Phase
from watcher.model import EventType, Observation, Result, Step, Transition, Watch
from watcher.section import Seconds, Section


class WatchSettings(Section):
    """How long a task is watched, and what its odd statuses mean."""

    deadline: Seconds = Field(default=86_400, ge=1, le=30 * 86_400)
    """A watch that sees no end by then ends itself (`deadline`), unless its message says otherwise. In seconds."""
    partial_success: Literal["settle", "terminal", "transient"] = "settle"
    """AWS does not say whether PARTIAL_SUCCESS is the end. `settle`: told, then watched until its result is whole or nothing
    changed for `partial_settle`; `terminal`: the end; `transient`: a status like any other."""
    partial_settle: Seconds = Field(default=600, ge=0)
    """For how long nothing may change before PARTIAL_SUCCESS counts as the end. In seconds."""
    not_found_grace: Seconds = Field(default=60, ge=0)
    """A task just created may not be found yet: for how long that is believed. In seconds."""
    retention: Seconds = Field(default=7 * 86_400, ge=60)
    """For how long the store remembers a task after its end. In seconds."""


def advance(kind: Kind, watch: Watch, seen: Observation, settings: WatchSettings) -> Step:
    """The watch after this observation, and what to tell.

    Reasons: `ended` (it had ended before), `stale` (older than what we know), `unchanged`, `status`, `result`, `terminal`,
    `settled`, `deadline`.
    """
    if not watch.open:
        return Step(watch, "ended")
    asked = watch._replace(polls=watch.polls + 1, seen_at=seen.observed_at, failures=0, failing_since=None)
    if _stale(kind, watch, seen):
        return _within_deadline(Step(asked, "stale"), seen.observed_at)
    if seen.status != watch.status:
        step = _new_status(kind, asked, seen, settings)
    elif seen.result is not None and digest(seen.result) != watch.result_digest:
        step = _told(asked, seen, EventType.UPDATED, "settled" if _settled(kind, seen, settings) else "result")
    elif _silent(kind, asked, seen, settings):
        step = _told(asked, seen, EventType.UPDATED, "settled")
    else:
        step = Step(asked, "unchanged")
    return _within_deadline(step, seen.observed_at)


def end(watch: Watch, reason: str, now: float) -> Step:
    """The watch ends here without a terminal status, for a reason of `watcher.watch.ended.v1`."""
    told = Transition(EventType.ENDED, watch.sequence + 1, watch.status, None, now, terminal=True, reason=reason)
    ended = watch._replace(sequence=told.sequence, changed_at=now, ended_at=now, end_reason=reason)
    return Step(ended, reason, (told,))


def digest(result: Result | None) -> str | None:
    """Tells one result from another without keeping it: 32 hex of SHA-256 over its canonical JSON."""
    if result is None:
        return None
    canonical = json.dumps(result, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()[:32]


def _stale(kind: Kind, watch: Watch, seen: Observation) -> bool:
    """Reads are eventually consistent: an older answer may come after a newer one, and a status never goes back."""
    if watch.updated_at is not None and seen.updated_at is not None and seen.updated_at < watch.updated_at:
        return True
    if kind.phase(seen.status) is Phase.TERMINAL:
        return False  # wherever it stands in the kind's list: no status comes after an end
    order = list(kind.statuses)
    if watch.status is None or watch.status not in kind.statuses or seen.status not in kind.statuses:
        return False
    return order.index(seen.status) < order.index(watch.status)


def _new_status(kind: Kind, watch: Watch, seen: Observation, settings: WatchSettings) -> Step:
    phase = kind.phase(seen.status)
    if phase is Phase.TERMINAL or (phase is Phase.PROVISIONAL and settings.partial_success == "terminal"):
        reason = "terminal"
    else:
        reason = "settled" if _settled(kind, seen, settings) else "status"
    begun = watch._replace(status=seen.status, status_since=_begun(kind, watch, seen))
    return _told(begun, seen, EventType.TRANSITION, reason, before=watch.status, skipped=kind.skipped(watch.status, seen.status))


def _begun(kind: Kind, watch: Watch, seen: Observation) -> float:
    """When the new status began: by the service's own timestamps where it has them, never later than we saw it."""
    first = next(iter(kind.statuses))
    service = {first: seen.created_at, kind.running: seen.started_at}.get(seen.status, seen.updated_at)
    return seen.observed_at if service is None else min(service, seen.observed_at)


def _settled(kind: Kind, seen: Observation, settings: WatchSettings) -> bool:
    """A provisional status whose result is whole."""
    return kind.phase(seen.status) is Phase.PROVISIONAL and settings.partial_success == "settle" and kind.settled(seen.result)


def _silent(kind: Kind, watch: Watch, seen: Observation, settings: WatchSettings) -> bool:
    """A provisional status in which nothing has changed for as long as we wait."""
    waits = kind.phase(seen.status) is Phase.PROVISIONAL and settings.partial_success == "settle"
    return waits and watch.changed_at is not None and seen.observed_at - watch.changed_at >= settings.partial_settle


def _told(
    watch: Watch, seen: Observation, type_: EventType, reason: str, *, before: str | None = None, skipped: tuple[str, ...] = ()
) -> Step:
    last = reason in ("terminal", "settled")
    told = Transition(
        type=type_,
        sequence=watch.sequence + 1,
        before=before if type_ is EventType.TRANSITION else watch.status,
        after=seen.status,
        observed_at=seen.observed_at,
        terminal=last,
        skipped=skipped,
        result=seen.result,
        message=seen.message,
    )
    after = watch._replace(
        sequence=told.sequence,
        changed_at=seen.observed_at,
        created_at=_known(seen.created_at, watch.created_at),
        started_at=_known(seen.started_at, watch.started_at),
        updated_at=seen.updated_at,  # of this very change: an earlier one's would date the event wrongly
        result_digest=watch.result_digest if seen.result is None else digest(seen.result),
        ended_at=seen.observed_at if last else None,
        end_reason=reason if last else None,
    )
    return Step(after, reason, (told,))


def _known(new: float | None, old: float | None) -> float | None:
    return old if new is None else new


def _within_deadline(step: Step, now: float) -> Step:
    """A deadline ends a watch only with an answer in hand: that we could not ask is not the task's fault."""
    if not step.watch.open or now < step.watch.deadline_at:
        return step
    ended = end(step.watch, "deadline", now)
    return replace(ended, transitions=step.transitions + ended.transitions)
