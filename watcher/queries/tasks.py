"""Tasks as lists show them: without results and contexts, which may identify a person."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from watcher.core.delivery.events import iso
from watcher.kinds.catalog import Catalog
from watcher.model import Watch
from watcher.ports import Queries
from watcher.queries.pages import read_pages
from watcher.query import Page, TaskQuery


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
    """As of the last change: a poll that changed nothing is not stored."""
    ended_at: float | None
    end_reason: str | None

    @property
    def open(self) -> bool:
        """Whether the task is still polled."""
        return self.ended_at is None

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
        }


def task_summary(watch: Watch, catalog: Catalog) -> TaskSummary:
    """Return the summary of a watch."""
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
        polls=watch.polls,
        ended_at=watch.ended_at,
        end_reason=watch.end_reason,
    )


async def list_tasks(store: Queries, catalog: Catalog, query: TaskQuery) -> Page[TaskSummary]:
    """Return one page of the tasks that match the query, the newest first."""
    page = await store.tasks(query)
    return Page([task_summary(watch, catalog) for watch in page.items], page.next)


async def newest_tasks(store: Queries, catalog: Catalog, query: TaskQuery, limit: int) -> list[TaskSummary]:
    """Return the newest tasks that match the query, at most `limit`, read page by page."""
    return [task_summary(watch, catalog) for watch in await read_pages(store.tasks, query, limit)]
