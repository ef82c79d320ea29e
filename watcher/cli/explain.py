"""`watcher explain`: one task, its history, and when it is polled next. Prints what its events contain, for operators."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.exceptions import Exit

from watcher.cli import exit_codes
from watcher.cli.options import Server, command_line, config_option, json_option
from watcher.cli.store_access import StoreAccess, print_json
from watcher.cli.tables import counted, duration, facts, printable, sentence, table

if TYPE_CHECKING:
    from watcher.queries.events import TaskEvent
    from watcher.queries.explain import Explanation
    from watcher.queries.tasks import TaskSummary


@click.command()
@click.argument("key")
@config_option(server=True)
@json_option()
def explain(key: str, config: Path, server: Server | None, as_json: bool) -> None:
    """Show one task: its history, its next poll, and the reasons.

    KEY is VoiceConnectorId/TaskId, a key as watcher tasks shows it, or the ARN
    of a task.

    Shows the status, each change with its lag, when the next poll is due and
    why, what ended the watch, and the dead letters of the task. Prints results
    and messages as the events contain them. Exits with 69 if the task is not in
    the store.

    \b
    Examples:
      watcher explain abc123/2f0e
      watcher explain voice-tone/abc123/77aa watcher.yaml --json
      watcher explain abc123/2f0e --url https://watcher.example.com
    """
    found = _stored(config, key) if server is None else _of_server(server, key)
    if as_json:
        print_json(found.as_json())
    elif found.task is not None:
        _print(found, found.task, config, server)
    if found.task is None:
        reasons = "it was not submitted yet, it was erased, or it ended longer ago than watch.retention"
        sentence(f"{found.key}: this task is not in the store: {reasons}", err=True)
        raise Exit(exit_codes.UNAVAILABLE)


def _stored(config: Path, key: str) -> Explanation:
    from watcher.queries.explain import explain_task
    from watcher.queries.poll_plan import PollSettings

    access = StoreAccess(config, "watch", "pace", "cadence")
    settings = PollSettings(access.settings.watch, access.settings.cadence, granted=access.settings.pace.rate is not None)
    full_key = access.key_of(key)
    return access.run(lambda store: explain_task(store, access.catalog, full_key, settings, time.time()))


def _of_server(server: Server, key: str) -> Explanation:
    from watcher.cli.server_access import ServerAccess
    from watcher.queries.explain import Explanation
    from watcher.queries.from_json import explanation_from_json

    access = ServerAccess(server)
    full_key = access.key_of(key)
    found = access.run(lambda api: api.task(full_key))
    if found is None:
        return Explanation(full_key, None, None, None, (), {}, (), time.time())
    return access.read(found, lambda value: explanation_from_json(value, time.time()))


def _print(found: Explanation, task: TaskSummary, config: Path, server: Server | None) -> None:
    facts(_state(found, task))
    click.echo("\nHistory" if found.events else "\nHistory: no change seen yet")
    if found.events:
        table(("SEEN", "CHANGE", "LAG", "POLLS", "NOTE"), [_row(event) for event in found.events])
        _print_last(found.events)
    for sink, events in sorted(found.undelivered.items()):
        click.echo(f"not yet delivered to {sink}: {counted(events, 'event')}")
    if found.next is not None:
        sentence(f"\nNext poll ({found.next.as_json()['as_of']})")
        for reason in found.next.why:
            sentence(f"  {reason}")
    if found.dead_letters:
        click.echo(
            f"\nDead letters; show one with: {command_line('dead-letters', 'show', found.dead_letters[0].id, config=config, server=server)}"
        )
        rows = [(letter.id, letter.origin, letter.reason, letter.detail) for letter in found.dead_letters]
        table(("ID", "FOR", "REASON", "DETAIL"), rows)


def _state(found: Explanation, task: TaskSummary) -> list[tuple[str, str]]:
    now, times = found.at, task.as_json()
    age = f", for {duration(task.status_age_s(now))}" if task.open else ""
    lines = [
        ("task", task.key),
        ("status", f"{task.state}{age}"),
        ("admitted", f"{times['admitted_at']}, {duration(max(0.0, now - task.admitted_at))} ago"),
    ]
    if found.context is not None:
        lines.append(("context", found.context))
    if task.ended_at is None:
        seconds = task.deadline_at - now
        left = f"in {duration(seconds)}" if seconds > 0 else "passed: the next poll ends the watch"
        lines.append(("deadline", f"{times['deadline_at']}, {left}"))
        lines.append(("polls", f"{task.polls} so far, as the watcher saved it last"))
    else:
        lines.append(("ended", f"{times['ended_at']}, {duration(max(0.0, now - task.ended_at))} ago; no longer polled"))
        lines.append(("because", f"{task.end_reason}: {found.end}"))
        lines.append(("polls", f"{task.polls}"))
    return lines


def _row(event: TaskEvent) -> tuple[str, ...]:
    lag = "" if event.detection_lag_s is None else duration(event.detection_lag_s)
    return (event.observed_at, event.change, lag, str(event.polls), event.note)


def _print_last(events: Sequence[TaskEvent]) -> None:
    """Print the last result and the last message that an event reports."""
    results = [event.result for event in events if event.result is not None]
    messages = [event.message for event in events if event.message is not None]
    if results:
        click.echo(printable(f"result: {json.dumps(results[-1], ensure_ascii=False)}"))
    if messages:
        sentence(printable(f"message: {messages[-1]}"))
