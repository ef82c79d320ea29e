"""`watcher dead-letters`: inputs that name no task, and events that a sink rejected. Only `show` prints bodies."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from watcher.cli.command_table import CommandGroup
from watcher.cli.dead_letter_access import access_to
from watcher.cli.options import Server, config_option, json_option
from watcher.cli.store_access import print_json
from watcher.cli.tables import counted, duration, facts, printable, sentence, table

if TYPE_CHECKING:
    from watcher.cli.dead_letter_access import DeadLetterAccess
    from watcher.queries.dead_letters import DeadLetterSummary


@click.group("dead-letters", cls=CommandGroup)
def dead_letters() -> None:
    """List, show, retry or erase dead letters.

    A dead letter is an invalid input, or an event that a sink refused although
    it accepts others.
    """


@dead_letters.command("list")
@config_option(server=True)
@json_option()
def list_command(config: Path, server: Server | None, as_json: bool) -> None:
    """List the dead letters, the newest first, without their bodies.

    The reason of an input says what is wrong with the message. The reason of an
    event is what the sink answered.

    \b
    Examples:
      watcher dead-letters list
      watcher dead-letters list --url https://watcher.example.com
    """
    found = access_to(config, server).all()
    if as_json:
        print_json([letter.as_json() for letter in found])
    elif not found:
        click.echo("no dead letters", err=True)
    else:
        now = time.time()
        table(("ID", "WHAT", "FROM", "REASON", "AGE", "TRIES", "DETAIL"), [_row(letter, now) for letter in found], own_line="DETAIL")


@dead_letters.command()
@click.argument("id_", metavar="ID")
@config_option(server=True)
@json_option()
def show(id_: str, config: Path, server: Server | None, as_json: bool) -> None:
    """Show one dead letter with its body, which may identify a person.

    ID is an id as watcher dead-letters list shows it, or a unique prefix of one.

    \b
    Example:
      watcher dead-letters show 4f1c
    """
    letter = access_to(config, server).find(id_)
    if as_json:
        print_json(letter.as_json())
    else:
        facts(_facts(letter.summary))
        click.echo(printable(letter.text))


@dead_letters.command()
@click.argument("ids", metavar="[ID]... [FILE]", nargs=-1)
@config_option(among="ids", server=True)
@click.option("--all", "every", is_flag=True, help="All dead letters.")
def retry(ids: tuple[str, ...], config: Path, server: Server | None, every: bool) -> None:
    """Retry dead letters: read inputs again, send events again.

    ID is an id as watcher dead-letters list shows it, or a unique prefix of one.

    A running watcher retries them within a second. If none runs, the next start
    retries them. What fails again stays a dead letter and counts one more try.

    \b
    Examples:
      watcher dead-letters retry 4f1c 77ab
      watcher dead-letters retry --all watcher.yaml
    """
    _require_ids_or_all(ids, every)
    access = access_to(config, server)
    count = access.retry(_chosen(access, ids))
    if count:
        sentence(f"{counted(count, 'dead letter')} marked for a retry: by the running watcher within a second, or at the next start.")
    else:
        click.echo("No dead letters; nothing to retry.")


@dead_letters.command()
@click.argument("ids", metavar="[ID]... [FILE]", nargs=-1)
@config_option(among="ids", server=True)
@click.option("--all", "every", is_flag=True, help="All dead letters.")
@click.option("--yes", is_flag=True, help="Erase all without confirmation.")
def purge(ids: tuple[str, ...], config: Path, server: Server | None, every: bool, yes: bool) -> None:
    """Erase dead letters: they can no longer be shown or retried.

    ID is an id as watcher dead-letters list shows it, or a unique prefix of one.

    \b
    Examples:
      watcher dead-letters purge 4f1c
      watcher dead-letters purge --all --yes watcher.yaml
    """
    _require_ids_or_all(ids, every)
    access = access_to(config, server)
    chosen = _chosen(access, ids)
    if every and chosen and not yes:
        _confirm(f"Erase {counted(len(chosen), 'dead letter')}?")
    # by id, also for --all: a dead letter that was added after the question is not erased
    count = access.purge(chosen)
    click.echo(f"Erased {counted(count, 'dead letter')}.")


def _chosen(access: DeadLetterAccess, id_prefixes: Sequence[str]) -> list[str]:
    """Return the full ids, or the ids of all dead letters where there are no prefixes."""
    return access.ids(id_prefixes) if id_prefixes else [letter.id for letter in access.all()]


def _confirm(question: str) -> None:
    """Ask on the terminal. Raises Abort for no and for Ctrl-C, and a usage error where there is no answer."""
    if not sys.stdin.isatty():
        raise click.BadParameter("stdin is not a terminal, so the command cannot ask; add --yes", param_hint="--all")
    try:
        click.confirm(question, abort=True)
    except click.Abort as abort:
        if not isinstance(abort.__context__, EOFError):
            raise
        raise click.BadParameter("stdin ended before an answer; add --yes to erase without a question", param_hint="--all") from None


def _row(letter: DeadLetterSummary, now: float) -> tuple[str, ...]:
    tries = f"{letter.tries}{', retry requested' if letter.retry else ''}"
    return (
        letter.id,
        letter.what,
        letter.origin,
        letter.reason,
        duration(max(0.0, now - letter.at)),
        tries,
        letter.detail.partition("; a good message: ")[0],
    )


def _facts(letter: DeadLetterSummary) -> list[tuple[str, str]]:
    at = letter.as_json()["at"]
    pairs = [
        ("id", letter.id),
        ("what", f"{letter.what} {'for sink' if letter.what == 'event' else 'from source'} {letter.origin}"),
        ("task", letter.key or ""),
        ("reason", letter.reason),
        ("detail", letter.detail),
        ("when", f"{at} ({duration(max(0.0, time.time() - letter.at))} ago)"),
        ("tries", f"{letter.tries}{', retry requested' if letter.retry else ''}"),
        ("body", counted(letter.size, "byte")),
    ]
    return [(name, value) for name, value in pairs if name != "task" or value]


def _require_ids_or_all(ids: Sequence[str], every: bool) -> None:
    if bool(ids) == every:
        raise click.BadParameter("give ids, or --all", param_hint="ID")
