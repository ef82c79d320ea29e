"""What an observation means for a watch: the only place that turns a status change into transitions to emit."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from typing import Literal

from pydantic import Field

from watcher.kinds.kind import Kind, Phase
from watcher.model import EventType, Observation, Result, Step, Transition, Watch
from watcher.section import Seconds, Section

STALE_S = 60.0
"""The age that a stale read cannot have, in seconds. Replicas of a service differ for seconds."""


class WatchSettings(Section):
    """How long a task is watched, and how a provisional status is treated."""

    deadline: Seconds = Field(default=86_400, ge=1, le=30 * 86_400)
    """How long a task is watched at most; then its watch ends with reason `deadline`. A message may set its own. In seconds."""
    partial_success: Literal["settle", "terminal", "transient"] = "settle"
    """What to do in a provisional status such as PARTIAL_SUCCESS, for which AWS does not document whether it is final. `settle`: emit it,
    then watch until the result is complete or nothing has changed for `partial_settle`. `terminal`: the watch ends. `transient`:
    treat it as any other status."""
    partial_settle: Seconds = Field(default=600, ge=0)
    """With `settle`: a provisional status is final when nothing has changed for this long. In seconds."""
    not_found_grace: Seconds = Field(default=60, ge=0)
    """How long a task may be not found before its watch ends: a task that was just created may not be visible yet. In seconds."""
    retention: Seconds = Field(default=7 * 86_400, ge=60)
    """How long the store keeps a task after its end. In seconds."""
    dead_letter_retention: Seconds | None = Field(default=None, ge=60)
    """How long the store keeps a dead letter of an event. null: until it is retried, purged, or erased with its task."""


def advance(kind: Kind, watch: Watch, seen: Observation, settings: WatchSettings) -> Step:
    """The watch after this observation, and the transitions to emit.

    Reasons: `ended` (the watch had ended before), `stale` (the observation is older than what is known), `unchanged`,
    `status`, `result`, `terminal`, `settled`, `deadline`.
    """
    if not watch.open:
        return Step(watch, "ended")
    polled = watch._replace(polls=watch.polls + 1, seen_at=seen.observed_at, failures=0, failing_since=None)
    if _stale(kind, watch, seen):
        return _within_deadline(Step(polled, "stale"), seen.observed_at)
    if seen.status != watch.status:
        step = _new_status(kind, polled, seen, settings)
    elif seen.result is not None and digest(seen.result) != watch.result_digest:
        step = _emit(polled, seen, EventType.UPDATED, "settled" if _complete(kind, seen, settings) else "result")
    elif _unchanged_long_enough(kind, polled, seen, settings):
        step = _emit(polled, seen, EventType.UPDATED, "settled")
    else:
        step = Step(polled, "unchanged")
    return _within_deadline(step, seen.observed_at)


def end(watch: Watch, reason: str, now: float) -> Step:
    """End the watch without a terminal status, for a reason of `watcher.watch.ended.v1`. `now` is wall-clock seconds."""
    transition = Transition(EventType.ENDED, watch.sequence + 1, watch.status, None, now, terminal=True, reason=reason)
    ended = watch._replace(sequence=transition.sequence, changed_at=now, ended_at=now, end_reason=reason)
    return Step(ended, reason, (transition,))


def digest(result: Result | None) -> str | None:
    """32 hex digits of SHA-256 over the canonical JSON of a result, to detect a change without keeping the result."""
    if result is None:
        return None
    canonical = json.dumps(result, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()[:32]


def _stale(kind: Kind, watch: Watch, seen: Observation) -> bool:
    """Whether the observation is older than the watch. Reads are eventually consistent, so an older reply may come after a
    newer one; and a status never goes back.

    A terminal status is never stale, and of two other declared statuses the order decides, because timestamps may be ahead,
    behind, or frozen. Only where there is no order do they decide: for the same status with another result, and for a
    status that the kind does not declare. But no read is older than `STALE_S`, so an observation that still differs after
    that time is not stale.
    """
    if kind.phase(seen.status) is Phase.TERMINAL:
        return False
    order = list(kind.statuses)
    if watch.status in order and seen.status in order and seen.status != watch.status:
        return order.index(seen.status) < order.index(watch.status)
    if watch.updated_at is None or seen.updated_at is None or seen.updated_at >= watch.updated_at:
        return False
    return watch.changed_at is None or seen.observed_at - watch.changed_at < STALE_S


def _new_status(kind: Kind, watch: Watch, seen: Observation, settings: WatchSettings) -> Step:
    phase = kind.phase(seen.status)
    if phase is Phase.TERMINAL or (phase is Phase.PROVISIONAL and settings.partial_success == "terminal"):
        reason = "terminal"
    else:
        reason = "settled" if _complete(kind, seen, settings) else "status"
    started = watch._replace(status=seen.status, status_since=_status_since(kind, seen))
    skipped = kind.skipped(watch.status, seen.status)
    return _emit(started, seen, EventType.TRANSITION, reason, before=watch.status, skipped=skipped)


def _status_since(kind: Kind, seen: Observation) -> float:
    """When the observed status began: by the service's timestamp for it, at the latest when it was observed."""
    if seen.status == kind.running_status:
        since = seen.started_at
    else:
        since = seen.created_at if seen.status == kind.first_status else seen.updated_at
    return seen.observed_at if since is None else min(since, seen.observed_at)


def _complete(kind: Kind, seen: Observation, settings: WatchSettings) -> bool:
    """Whether this is a provisional status after whose result nothing more follows."""
    return kind.phase(seen.status) is Phase.PROVISIONAL and settings.partial_success == "settle" and kind.settled(seen.result)


def _unchanged_long_enough(kind: Kind, watch: Watch, seen: Observation, settings: WatchSettings) -> bool:
    """Whether this is a provisional status that has not changed for `partial_settle`."""
    settles = kind.phase(seen.status) is Phase.PROVISIONAL and settings.partial_success == "settle"
    return settles and watch.changed_at is not None and seen.observed_at - watch.changed_at >= settings.partial_settle


def decided_in(kind: Kind, watch: Watch, now: float, settings: WatchSettings) -> float:
    """Seconds until a poll ends this watch although nothing has changed: at its deadline, or when a provisional status has settled.

    0 if the next poll ends it. `now` is wall-clock seconds.
    """
    ends = [watch.deadline_at]
    if watch.status is not None and kind.phase(watch.status) is Phase.PROVISIONAL and settings.partial_success == "settle":
        ends += [] if watch.changed_at is None else [watch.changed_at + settings.partial_settle]
    return max(0.0, min(ends) - now)


def _emit(
    watch: Watch, seen: Observation, type_: EventType, reason: str, *, before: str | None = None, skipped: tuple[str, ...] = ()
) -> Step:
    terminal = reason in ("terminal", "settled")
    transition = Transition(
        type=type_,
        sequence=watch.sequence + 1,
        before=before if type_ is EventType.TRANSITION else watch.status,
        after=seen.status,
        observed_at=seen.observed_at,
        terminal=terminal,
        skipped=skipped,
        result=seen.result,
        message=seen.message,
    )
    after = watch._replace(
        sequence=transition.sequence,
        changed_at=seen.observed_at,
        created_at=_latest(seen.created_at, watch.created_at),
        started_at=_latest(seen.started_at, watch.started_at),
        updated_at=seen.updated_at,  # the time of this change, or None: the time of an earlier change would date the event wrongly
        result_digest=watch.result_digest if seen.result is None else digest(seen.result),
        ended_at=seen.observed_at if terminal else None,
        end_reason=reason if terminal else None,
    )
    return Step(after, reason, (transition,))


def _latest(seen: float | None, known: float | None) -> float | None:
    return known if seen is None else seen


def _within_deadline(step: Step, now: float) -> Step:
    """End the watch after its deadline. This needs an answer from the service: a watch must not end because polling failed."""
    if not step.watch.open or now < step.watch.deadline_at:
        return step
    ended = end(step.watch, "deadline", now)
    return replace(ended, transitions=step.transitions + ended.transitions)
