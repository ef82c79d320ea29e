"""`watcher dead-letters`: inputs that were no task, and events a sink would not take. Bodies are shown by `show` alone."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from typing import Annotated, Any

import typer

from watcher.cli import exit_codes
from watcher.cli.store_access import Config, Json, consult, print_json
from watcher.cli.tables import counted, duration, facts, printable, table
from watcher.config import Settings
from watcher.core.delivery.events import iso
from watcher.core.intake.strict_json import decode
from watcher.errors import InvalidInput
from watcher.model import DeadLetter
from watcher.ports import Store
from watcher.query import DeadLetterQuery

app = typer.Typer(help="Look at what could not be taken in or delivered; try it again, or throw it away.", no_args_is_help=True)

Ids = Annotated[list[str] | None, typer.Argument(metavar="ID", help="As `list` shows them; the beginning is enough where it is unique.")]
All = Annotated[bool, typer.Option("--all", help="All of them.")]


@app.command("list")
def list_(config: Config, as_json: Json = False) -> None:
    """List the dead letters, the newest first, with their reasons and without their bodies.

    Reasons of inputs say what is wrong with the message; reasons of events are
    the sink's own words.

    Example:

        watcher dead-letters list --config watcher.yaml
    """
    letters = consult(config, lambda _, store: _all(store))
    if as_json:
        print_json([facts_of(letter) for letter in letters])
    elif not letters:
        typer.echo("no dead letters", err=True)
    else:
        now = time.time()
        table(("ID", "WHAT", "FROM", "REASON", "DETAIL", "AGE", "TRIES"), [_row(letter, now) for letter in letters])


@app.command()
def show(
    id_: Annotated[str, typer.Argument(metavar="ID", help="As `list` shows it; the beginning is enough where it is unique.")],
    config: Config,
    as_json: Json = False,
) -> None:
    """Show one dead letter with its body, which may hold what identifies a person.

    Example:

        watcher dead-letters show 4f1c --config watcher.yaml
    """
    letter = _chosen([id_], consult(config, lambda _, store: _all(store)))[0]
    if as_json:
        print_json({**facts_of(letter), "body": letter.body.decode("utf-8", "backslashreplace")})
        return
    about = [("task", letter.key)] if letter.key is not None else []
    facts(
        [
            ("id", letter.id),
            ("what", f"{letter.what} {'for sink' if letter.what == 'event' else 'from source'} {letter.origin}"),
            *about,
            ("reason", letter.reason),
            ("detail", letter.detail),
            ("when", f"{iso(letter.at)} ({duration(max(0.0, time.time() - letter.at))} ago)"),
            ("tries", f"{letter.tries}{', to be tried again' if letter.retry else ''}"),
            ("body", counted(len(letter.body), "byte")),
        ]
    )
    typer.echo(printable(_pretty(letter.body)))


@app.command()
def retry(config: Config, ids: Ids = None, every: All = False) -> None:
    """Have dead letters tried again: inputs are read once more, events sent once more to their sink.

    A running watcher takes them up within a second; else the next start does.
    What fails again is a dead letter again, with one more try.

    Examples:

        watcher dead-letters retry 4f1c 77ab --config watcher.yaml

        watcher dead-letters retry --all --config watcher.yaml
    """

    async def ask(_: Settings, store: Store) -> int:
        return await store.retry([letter.id for letter in _chosen(ids, await _all(store), every=every)])

    _one_of(ids, every)
    count = consult(config, ask)
    typer.echo(
        f"{counted(count, 'dead letter')} to be tried again: a running watcher takes them up within a second, else the next start does"
        if count
        else "no dead letters: nothing to try again"
    )


@app.command()
def purge(
    config: Config,
    ids: Ids = None,
    every: All = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask before erasing all.")] = False,
) -> None:
    """Erase dead letters for good: what they hold is neither taken in nor delivered any more.

    Examples:

        watcher dead-letters purge 4f1c --config watcher.yaml

        watcher dead-letters purge --all --yes --config watcher.yaml
    """

    async def erase(_: Settings, store: Store) -> int:
        # those that were seen, not all: none may be erased that came while somebody thought about the question
        return await store.purge([letter.id for letter in chosen])

    _one_of(ids, every)
    chosen = _chosen(ids, consult(config, lambda _, store: _all(store)), every=every)
    if every and chosen and not yes:
        if not sys.stdin.isatty():
            raise typer.BadParameter("nobody can be asked here whether to erase them: say --yes", param_hint="--all")
        typer.confirm(f"erase {counted(len(chosen), 'dead letter')} for good?", abort=True)
    typer.echo(f"{counted(consult(config, erase) if chosen else 0, 'dead letter')} erased")


async def _all(store: Store) -> Sequence[DeadLetter]:
    """Every dead letter, read page by page."""
    found: list[DeadLetter] = []
    page = await store.dead_letters(DeadLetterQuery())
    found += page.items
    while page.next is not None:
        page = await store.dead_letters(DeadLetterQuery(after=page.next))
        found += page.items
    return found


def facts_of(letter: DeadLetter) -> dict[str, Any]:
    """A dead letter for machines, without its body."""
    return {
        "id": letter.id,
        "what": letter.what,
        "origin": letter.origin,
        "reason": letter.reason,
        "detail": letter.detail,
        "at": iso(letter.at),
        "key": letter.key,
        "tries": letter.tries,
        "retry": letter.retry,
        "bytes": len(letter.body),
    }


def _row(letter: DeadLetter, now: float) -> tuple[str, ...]:
    tries = f"{letter.tries}{', again' if letter.retry else ''}"
    return (letter.id, letter.what, letter.origin, letter.reason, letter.detail, duration(max(0.0, now - letter.at)), tries)


def _one_of(ids: Sequence[str] | None, every: bool) -> None:
    if bool(ids) == every:
        raise typer.BadParameter("name dead letters by their ids, or say --all", param_hint="ID")


def _chosen(ids: Sequence[str] | None, letters: Sequence[DeadLetter], *, every: bool = False) -> Sequence[DeadLetter]:
    """The letters that are meant, all of them or none: an id that means nothing, or too much, ends the command."""
    if every:
        return letters
    chosen: dict[str, DeadLetter] = {}
    for id_ in ids or ():
        meant = [letter for letter in letters if letter.id.startswith(id_)]
        exact = [letter for letter in meant if letter.id == id_]
        if len(exact or meant) != 1:
            typer.echo(f"{printable(id_)}: {'several dead letters begin' if meant else 'no dead letter begins'} like this", err=True)
            raise typer.Exit(exit_codes.USAGE)
        letter = (exact or meant)[0]
        chosen[letter.id] = letter
    return list(chosen.values())


def _pretty(body: bytes) -> str:
    """JSON with its members on lines of their own; anything else as it came, or its mistake would not be seen."""
    try:
        return json.dumps(decode(body), indent=2, ensure_ascii=False)
    except InvalidInput:
        return body.decode("utf-8", "backslashreplace")
