"""`watcher tasks`: what is watched, and how it ended. Says nothing of results and contexts: those are for `watcher explain`."""

from __future__ import annotations

import time
from typing import Annotated, Any

import typer

from watcher.cli.store_access import Config, Json, consult, print_json
from watcher.cli.tables import duration, table
from watcher.core.delivery.events import iso
from watcher.kinds.catalog import builtin_catalog
from watcher.model import Watch
from watcher.query import TaskQuery


def tasks(
    config: Config,
    open_only: Annotated[bool, typer.Option("--open", help="Only those that are still watched.")] = False,
    limit: Annotated[int, typer.Option(help="At most so many, the newest first.", min=1)] = 50,
    as_json: Json = False,
) -> None:
    """List the tasks in the store, the newest first.

    Each with its status, how long it has had it, the polls it took, and how the
    watch ended. Works while the watcher runs, and when it does not. Polls are
    counted as of the last change: an unchanged poll writes nothing.

    Examples:

        watcher tasks --config watcher.yaml --open

        watcher tasks --config watcher.yaml --json --limit 1000 | jq -r '.[] | select(.status == "FAILED") | .key'
    """
    found = consult(config, lambda _, store: store.tasks(TaskQuery(open=open_only or None, limit=limit))).items
    if as_json:
        print_json([facts_of(watch) for watch in found])
        return
    if not found:
        typer.echo("no open tasks" if open_only else "no tasks", err=True)
        return
    now = time.time()
    table(("TASK", "STATUS", "AGE", "POLLS", "ENDED"), [_row(watch, now) for watch in found])
    if len(found) == limit:
        typer.echo(f"the newest {limit}; --limit shows more", err=True)


def facts_of(watch: Watch) -> dict[str, Any]:
    """A watch for machines: no result, no context."""
    kind = builtin_catalog().get(watch.ref.kind)
    names = [param.name for param in kind.params] if kind is not None else []
    return {
        "key": watch.key,
        "kind": watch.ref.kind,
        "target": watch.ref.target,
        "params": dict(zip(names, watch.ref.params, strict=False)),
        "open": watch.open,
        "status": watch.status,
        "status_since": iso(watch.status_since),
        "admitted_at": iso(watch.admitted_at),
        "deadline_at": iso(watch.deadline_at),
        "changed_at": iso(watch.changed_at),
        "events": watch.sequence,
        "polls": watch.polls,
        "ended_at": iso(watch.ended_at),
        "end_reason": watch.end_reason,
    }


def age(watch: Watch, now: float) -> float:
    """For how long the task has had its status, or has waited for its first look, in seconds; of an ended watch, as of its end."""
    began = watch.admitted_at if watch.status_since is None else watch.status_since
    return max(0.0, (now if watch.ended_at is None else watch.ended_at) - began)


def _row(watch: Watch, now: float) -> tuple[str, ...]:
    ended = "" if watch.ended_at is None else f"{watch.end_reason}, {duration(max(0.0, now - watch.ended_at))} ago"
    since = duration(age(watch, now)) if watch.open else ""
    return (watch.key, watch.status or "not seen yet", since, str(watch.polls), ended)
