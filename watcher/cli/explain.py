"""`watcher explain`: one task, its history, and why it is asked about again when. May show the operator what events hold."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Annotated, Any

import typer

from watcher.cli import exit_codes
from watcher.cli.dead_letters import facts_of as letter_facts
from watcher.cli.schedule import LearnedState, PollPlan, schedule
from watcher.cli.store_access import Config, Json, consult, key_of, print_json
from watcher.cli.tables import counted, duration, facts, printable, table
from watcher.cli.tasks import age, facts_of
from watcher.config import Settings
from watcher.core.delivery.events import iso
from watcher.core.polling.schedule import state_name
from watcher.kinds.catalog import builtin_catalog
from watcher.model import DeadLetter, Event, EventType, Watch
from watcher.ports import Store
from watcher.query import DeadLetterQuery

ENDS = {
    "terminal": "the service's last word about the task",
    "settled": "a provisional status whose result is whole, or that did not change for watch.partial_settle",
    "deadline": "no end came before the deadline (watch.deadline, or the message's own)",
    "expired": "the service keeps a task for 7 days, and this one is older and not found any more",
    "not_found": "the service did not know it for longer than watch.not_found_grace",
    "denied": "the service denied asking about it, three times",
    "invalid": "the service says that the request cannot be right",
    "cancelled": "somebody said so",
}
"""What ended a watch, in words."""

NOTE = "by the notes of the watcher, up to 30 s old while it runs"


@dataclass(frozen=True, slots=True)
class Found:
    """All that the store knows about one task."""

    key: str
    watch: Watch | None
    events: Sequence[Event]
    letters: Sequence[DeadLetter]
    owed: Mapping[str, int]
    """By sink, events of it that are not taken yet."""
    schedule: PollPlan | None
    at: float


def explain(
    key: Annotated[str, typer.Argument(metavar="KEY", help="VC/TASK, kind/VC/TASK, or a key as `watcher tasks` shows it.")],
    config: Config,
    as_json: Json = False,
) -> None:
    """Tell all about one task: what it is, what it was, and why it is asked again when.

    That is its status and history, the reason for the time until the next look,
    what ended it, and its dead letters. Results and messages are shown as the
    events hold them. Exit 69 when the store knows nothing of the task.

    Examples:

        watcher explain abc123/2f0e --config watcher.yaml

        watcher explain voice-tone/abc123/77aa --config watcher.yaml --json
    """
    named = key_of(key)
    found = consult(config, lambda settings, store: _find(named, settings, store))
    if as_json:
        print_json(_json(found))
    elif found.watch is not None:
        _tell(found, found.watch)
    if found.watch is None:
        typer.echo(f"{named}: nothing is known of it: not submitted yet, forgotten, or ended longer ago than watch.retention", err=True)
        raise typer.Exit(exit_codes.UNAVAILABLE)


async def _find(key: str, settings: Settings, store: Store) -> Found:
    now, plan = time.time(), None
    watch = await store.task(key)
    if watch is not None and watch.open:
        plan = schedule(watch, settings, await _notes(watch, store), now)
    letters = (await store.dead_letters(DeadLetterQuery(key=key))).items
    return Found(key, watch, await store.task_events(key), letters, await store.undelivered(key), plan, now)


async def _notes(watch: Watch, store: Store) -> LearnedState:
    """What the watcher wrote down about the quota that this task's calls are counted against."""
    catalog = builtin_catalog()
    kind = catalog.get(watch.ref.kind)
    if kind is None:
        return LearnedState(None, None, 0)
    sharing = await store.count_open([each.name for each in catalog if each.quota == kind.quota])
    return LearnedState(
        await store.load_state(state_name("cadence", kind.quota)), await store.load_state(state_name("pace", kind.quota)), sharing
    )


def _json(found: Found) -> dict[str, Any]:
    watch = found.watch
    return {
        "key": found.key,
        "task": None if watch is None else {**facts_of(watch), "context": None if watch.context is None else json.loads(watch.context)},
        "next": None if found.schedule is None else asdict(found.schedule) | {"as_of": NOTE},
        "end": None if watch is None or watch.end_reason is None else ENDS.get(watch.end_reason, watch.end_reason),
        "events": [json.loads(event.body) for event in found.events],
        "not_yet_taken": dict(found.owed),
        "dead_letters": [letter_facts(letter) for letter in found.letters],
    }


def _tell(found: Found, watch: Watch) -> None:
    facts(_status(watch, found.at))
    typer.echo("\nHistory" if found.events else "\nHistory: nothing was told yet")
    if found.events:
        table(("SEEN", "CHANGE", "LAG", "POLLS", "WHY"), [_told(json.loads(event.body)) for event in found.events])
        _results(found.events)
    for sink, events in sorted(found.owed.items()):
        typer.echo(f"not yet taken by {sink}: {counted(events, 'event')}")
    if found.schedule is not None:
        typer.echo(f"\nNext look ({NOTE})")
        for sentence in found.schedule.why:
            typer.echo(f"  {sentence}")
    if found.letters:
        typer.echo("\nDead letters (watcher dead-letters show ID)")
        table(("ID", "FOR", "REASON", "DETAIL"), [(letter.id, letter.origin, letter.reason, letter.detail) for letter in found.letters])


def _status(watch: Watch, now: float) -> list[tuple[str, str]]:
    held = "" if watch.ended_at is not None else f", for {duration(age(watch, now))}"
    lines = [
        ("task", watch.key),
        ("status", f"{watch.status or 'not seen yet'}{held}"),
        ("admitted", f"{iso(watch.admitted_at)}, {duration(max(0.0, now - watch.admitted_at))} ago"),
    ]
    if watch.context is not None:
        lines.append(("context", watch.context))
    if watch.ended_at is None:
        lines.append(("deadline", f"{iso(watch.deadline_at)}{_left(watch.deadline_at - now)}"))
        lines.append(("polls", f"{watch.polls} as of the last change"))
    else:
        reason = watch.end_reason or ""
        lines.append(("ended", f"{iso(watch.ended_at)}, {duration(max(0.0, now - watch.ended_at))} ago; not asked about again"))
        lines.append(("because", f"{reason}: {ENDS.get(reason, 'a reason this version does not know')}"))
        lines.append(("polls", f"{watch.polls}"))
    return lines


def _left(seconds: float) -> str:
    return f", in {duration(seconds)}" if seconds > 0 else ", passed: the next answer ends it"


def _told(event: dict[str, Any]) -> tuple[str, ...]:
    data = event["data"]
    lag = data.get("detection_lag_s")
    skipped = f"skipped {', '.join(data['skipped'])}" if data.get("skipped") else ""
    why = {EventType.UPDATED: "its result changed", EventType.ENDED: f"watch ended: {data.get('reason')}"}.get(event["type"], skipped)
    change = data["from"] or "new" if event["type"] != EventType.TRANSITION else f"{data['from'] or 'new'} -> {data['to']}"
    return (data["observed_at"], change, "" if lag is None else duration(lag), str(data["polls"]), why)


def _results(events: Sequence[Event]) -> None:
    """The last result and message that were told."""
    for member in ("result", "message"):
        told = [data[member] for data in (json.loads(event.body)["data"] for event in events) if data.get(member) is not None]
        if told:
            typer.echo(printable(f"{member}: {told[-1] if isinstance(told[-1], str) else json.dumps(told[-1], ensure_ascii=False)}"))
