"""Tasks as lists show them: without results and contexts, which may identify a person."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from watcher.core.delivery.events import iso
from watcher.core.polling.call_progress import CallState, read_progress
from watcher.core.polling.schedule import state_name
from watcher.kinds.catalog import Catalog
from watcher.model import Watch
from watcher.ports import Queries
from watcher.queries.pages import read_pages
from watcher.queries.poll_plan import TROUBLE
from watcher.query import TaskQuery

Progress = Mapping[str, CallState]
"""By the id of a watch."""

ENDED_UNSEEN: Mapping[str, str] = {"not_found": "not found", "expired": "not found", "denied": "access denied", "invalid": "invalid"}
"""What a task that no poll ever saw was, by the reason why its watch ended."""


@dataclass(frozen=True, slots=True)
class TaskSummary:
    """One task and how far its watch is. Times are seconds since the epoch."""

    key: str
    kind: str
    target: str
    params: Mapping[str, str]
    """By the names that AWS uses. Empty for a kind that the catalog does not have."""
    status: str | None
    """None before the first observation."""
    status_since: float | None
    admitted_at: float
    deadline_at: float
    changed_at: float | None
    events: int
    polls: int
    """So far, as the watcher saved it last: at most 30 s ago."""
    ended_at: float | None
    end_reason: str | None
    last_error: str | None = None
    """Why the last poll of an open task did not show it, by the reason of the error. None: it did, or that is not saved."""

    @property
    def open(self) -> bool:
        """Whether the task is still polled."""
        return self.ended_at is None

    @property
    def state(self) -> str:
        """The status in words: with what is wrong at the moment, and why there is none."""
        trouble = None if self.last_error is None else TROUBLE[self.last_error]
        if self.status is not None:
            return self.status if trouble is None else f"{self.status}, now {trouble}"
        if self.end_reason is not None:
            return ENDED_UNSEEN.get(self.end_reason, "never seen")
        return trouble or ("not polled yet" if self.polls == 0 else "not seen yet")

    def status_age_s(self, now: float) -> float:
        """How long the task has had its status, or has waited for its first poll, in seconds; for an ended watch, until its end."""
        since = self.admitted_at if self.status_since is None else self.status_since
        return max(0.0, (now if self.ended_at is None else self.ended_at) - since)

    def as_json(self) -> dict[str, Any]:
        """The JSON form, with times in RFC 3339."""
        return {
            "key": self.key,
            "kind": self.kind,
            "target": self.target,
            "params": dict(self.params),
            "open": self.open,
            "status": self.status,
            "status_since": iso(self.status_since),
            "admitted_at": iso(self.admitted_at),
            "deadline_at": iso(self.deadline_at),
            "changed_at": iso(self.changed_at),
            "events": self.events,
            "polls": self.polls,
            "ended_at": iso(self.ended_at),
            "end_reason": self.end_reason,
            "last_error": self.last_error,
        }


def task_summary(watch: Watch, catalog: Catalog, progress: Progress | None = None) -> TaskSummary:
    """Return the summary of a watch. `progress` has the polls since its last change."""
    polled = (progress or {}).get(watch.id) if watch.open else None
    kind = catalog.get(watch.ref.kind)
    names = [param.name for param in kind.params] if kind is not None else []
    return TaskSummary(
        key=watch.key,
        kind=watch.ref.kind,
        target=watch.ref.target,
        params=dict(zip(names, watch.ref.params, strict=False)),
        status=watch.status,
        status_since=watch.status_since,
        admitted_at=watch.admitted_at,
        deadline_at=watch.deadline_at,
        changed_at=watch.changed_at,
        events=watch.sequence,
        polls=watch.polls if polled is None else max(watch.polls, polled.polls),
        ended_at=watch.ended_at,
        end_reason=watch.end_reason,
        last_error=polled.reason if polled is not None and polled.reason in TROUBLE else None,
    )


async def load_progress(store: Queries, catalog: Catalog, watches: Iterable[Watch]) -> Progress:
    """Return what was saved last about the polls of those of these watches that are open."""
    polled = [(catalog.get(watch.ref.kind), watch.ref.target) for watch in watches if watch.open]
    names = {state_name("progress", kind.quota, target) for kind, target in polled if kind is not None}
    texts = [text for name in sorted(names) for text in await store.load_states(name)]
    return {watch_id: state for text in texts for watch_id, state in read_progress(text).items()}


async def newest_tasks(store: Queries, catalog: Catalog, query: TaskQuery, limit: int) -> list[TaskSummary]:
    """Return the newest tasks that match the query, at most `limit`, read page by page."""
    watches = await read_pages(store.tasks, query, limit)
    progress = await load_progress(store, catalog, watches)
    return [task_summary(watch, catalog, progress) for watch in watches]
