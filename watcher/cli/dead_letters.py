"""`watcher dead-letters`: inputs that name no task, and events that a sink rejected. Only `show` prints bodies."""

from __future__ import annotations

import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.exceptions import Exit

from watcher.cli import exit_codes
from watcher.cli.command_table import CommandGroup
from watcher.cli.options import config_option, json_option
from watcher.cli.store_access import StoreAccess, print_json
from watcher.cli.tables import counted, duration, facts, printable, sentence, table

if TYPE_CHECKING:
    from watcher.ports import Store
    from watcher.queries.dead_letters import DeadLetterDetails, DeadLetterSummary


PAGE_SIZE = 1000
"""Dead letters that are marked or erased in one transaction."""


@click.group("dead-letters", cls=CommandGroup)
def dead_letters() -> None:
    """List, show, retry or erase dead letters.

    A dead letter is an invalid input, or an event that a sink refused although
    it accepts others.
    """


@dead_letters.command("list")
@config_option()
@json_option()
def list_command(config: Path, as_json: bool) -> None:
    """List the dead letters, the newest first, without their bodies.

    The reason of an input says what is wrong with the message. The reason of an
    event is what the sink answered.

    \b
    Example:
      watcher dead-letters list
    """
    from watcher.queries.dead_letters import all_dead_letters

    found = StoreAccess(config).run(all_dead_letters)
    if as_json:
        print_json([letter.as_json() for letter in found])
    elif not found:
        click.echo("no dead letters", err=True)
    else:
        now = time.time()
        table(("ID", "WHAT", "FROM", "REASON", "DETAIL", "AGE", "TRIES"), [_row(letter, now) for letter in found], own_line="DETAIL")


@dead_letters.command()
@click.argument("id_", metavar="ID")
@config_option()
@json_option()
def show(id_: str, config: Path, as_json: bool) -> None:
    """Show one dead letter with its body, which may identify a person.

    ID is an id as watcher dead-letters list shows it, or a unique prefix of one.

    \b
    Example:
      watcher dead-letters show 4f1c
    """
    letter = _find(StoreAccess(config), id_)
    if as_json:
        print_json(letter.as_json())
    else:
        facts(_facts(letter.summary))
        click.echo(printable(letter.text))


@dead_letters.command()
@click.argument("ids", metavar="[ID]... [FILE]", nargs=-1)
@config_option(among="ids")
@click.option("--all", "every", is_flag=True, help="All dead letters.")
def retry(ids: tuple[str, ...], config: Path, every: bool) -> None:
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
    access = StoreAccess(config)
    chosen = _chosen(access, ids)
    count = access.run(lambda store: _in_pieces(store.retry, chosen))
    if count:
        sentence(f"{counted(count, 'dead letter')} marked for a retry: by the running watcher within a second, or at the next start.")
    else:
        click.echo("No dead letters; nothing to retry.")


@dead_letters.command()
@click.argument("ids", metavar="[ID]... [FILE]", nargs=-1)
@config_option(among="ids")
@click.option("--all", "every", is_flag=True, help="All dead letters.")
@click.option("--yes", is_flag=True, help="Erase all without confirmation.")
def purge(ids: tuple[str, ...], config: Path, every: bool, yes: bool) -> None:
    """Erase dead letters: they can no longer be shown or retried.

    ID is an id as watcher dead-letters list shows it, or a unique prefix of one.

    \b
    Examples:
      watcher dead-letters purge 4f1c
      watcher dead-letters purge --all --yes watcher.yaml
    """
    _require_ids_or_all(ids, every)
    access = StoreAccess(config)
    chosen = _chosen(access, ids)
    if every and chosen and not yes:
        _confirm(f"Erase {counted(len(chosen), 'dead letter')}?")
    # by id, also for --all: a dead letter that was added after the question is not erased
    count = access.run(lambda store: _in_pieces(store.purge, chosen))
    click.echo(f"Erased {counted(count, 'dead letter')}.")


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
        letter.detail.partition("; a good message: ")[0],
        duration(max(0.0, now - letter.at)),
        tries,
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


async def _in_pieces(work: Callable[[Sequence[str]], Awaitable[int]], ids: Sequence[str]) -> int:
    """Apply `work` to a page of ids at a time, so that the watcher's own writes do not wait for all of them."""
    return sum([await work(ids[start : start + PAGE_SIZE]) for start in range(0, len(ids), PAGE_SIZE)])


def _require_ids_or_all(ids: Sequence[str], every: bool) -> None:
    if bool(ids) == every:
        raise click.BadParameter("give ids, or --all", param_hint="ID")


def _find(access: StoreAccess, id_: str) -> DeadLetterDetails:
    from watcher.queries.dead_letters import DeadLetterLookupError, find_dead_letter

    try:
        return access.run(lambda store: find_dead_letter(store, id_))
    except DeadLetterLookupError as error:
        raise _not_found(error) from None


def _chosen(access: StoreAccess, id_prefixes: Sequence[str]) -> list[str]:
    """Return the full ids, or the ids of all dead letters where there are no prefixes. Exits if one does not name exactly one."""
    from watcher.queries.dead_letters import DeadLetterLookupError, all_dead_letters, find_ids

    async def choose(store: Store) -> list[str]:
        return await find_ids(store, id_prefixes) if id_prefixes else [letter.id for letter in await all_dead_letters(store)]

    try:
        return access.run(choose)
    except DeadLetterLookupError as error:
        raise _not_found(error) from None


def _not_found(error: LookupError) -> Exit:
    sentence(printable(str(error)), err=True)
    return Exit(exit_codes.USAGE)
