"""`watcher tasks`: the tasks in the store, without results and contexts."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from watcher.cli.options import Server, config_option, json_option
from watcher.cli.store_access import StoreAccess, print_json
from watcher.cli.tables import counted, duration, table

if TYPE_CHECKING:
    from watcher.queries.tasks import TaskSummary


@click.command()
@config_option(server=True)
@click.option("--open", "open_only", is_flag=True, help="Only tasks that are still polled.")
@click.option("--limit", metavar="N", type=click.IntRange(min=1), default=50, help="The maximum number of tasks to list.")
@json_option()
def tasks(config: Path, server: Server | None, open_only: bool, limit: int, as_json: bool) -> None:
    """List the tasks in the store, the newest first.

    For each task: its status and how long it has had this status, the number of
    polls so far, and how its watch ended. Works while the watcher runs and while
    it does not. Polls that changed nothing appear here within 30 s.

    \b
    Examples:
      watcher tasks --open
      watcher tasks --url https://watcher.example.com --token-file token
      watcher tasks watcher.yaml --limit 1000 --json |
        jq -r '.[] | select(.status == "FAILED") | .key'
    """
    found = _stored_tasks(config, open_only, limit) if server is None else _tasks_of(server, open_only, limit)
    if as_json:
        print_json([task.as_json() for task in found])
        return
    if not found:
        click.echo("no open tasks" if open_only else "no tasks", err=True)
        return
    now = time.time()
    table(("TASK", "STATUS", "AGE", "POLLS", "ENDED"), [_row(task, now) for task in found], own_line="TASK")
    if len(found) == limit:
        click.echo(f"Only the newest {counted(limit, 'task')}. Set --limit to list more.", err=True)


def _stored_tasks(config: Path, open_only: bool, limit: int) -> list[TaskSummary]:
    from watcher.queries.tasks import newest_tasks
    from watcher.query import TaskQuery

    access = StoreAccess(config)
    query = TaskQuery(open=True if open_only else None)
    return access.run(lambda store: newest_tasks(store, access.catalog, query, limit))


def _tasks_of(server: Server, open_only: bool, limit: int) -> list[TaskSummary]:
    from watcher.cli.server_access import ServerAccess
    from watcher.queries.from_json import task_from_json

    access = ServerAccess(server)
    found = access.run(lambda api: api.items("/v1/tasks", "tasks", {"open": True if open_only else None}, limit))
    return [access.read(task, task_from_json) for task in found]


def _row(task: TaskSummary, now: float) -> tuple[str, ...]:
    ended = "" if task.ended_at is None else f"{task.end_reason}, {duration(max(0.0, now - task.ended_at))} ago"
    since = task.status_since if task.status_since is not None else task.admitted_at if task.open else task.ended_at
    age = duration(max(0.0, now - (since or now)))
    return (task.key, task.state, age, str(task.polls), ended)
