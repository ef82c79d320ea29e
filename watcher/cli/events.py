"""`watcher events`: prints stored events and, with `--follow`, new ones, from a running watcher or from its store."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from watcher.cli.options import FILE, Server, config_option

if TYPE_CHECKING:
    from watcher.adapters.api_client import SentEvent
    from watcher.cli.event_feed import EventRequest
    from watcher.cli.event_printer import EventPrinter


@click.command()
@click.argument("key", metavar="[KEY]", required=False)
@config_option(among="key", server=True)
@click.option("--follow", "-f", is_flag=True, help="Also print new events, until Ctrl-C.")
@click.option("--after", metavar="CURSOR", default="start", help="start, now, or a cursor: print the events after it.")
@click.option("--task", metavar="KEY", help="The same as the argument KEY.")
@click.option("--kind", metavar="NAME", help="Only events of tasks of this kind.")
@click.option("--terminal", is_flag=True, help="Only the last event of each watch.")
@click.option("--limit", metavar="N", type=click.IntRange(min=1), help="Stop after this many events.")
@click.option("--cursor-file", metavar="FILE", type=FILE, help="Store the cursor in this file, and continue from it.")
@click.option("--json", "as_json", is_flag=True, help="Print each event as one line of JSON: the CloudEvent.")
def events(
    key: str | None,
    config: Path,
    server: Server | None,
    follow: bool,
    after: str,
    task: str | None,
    kind: str | None,
    terminal: bool,
    limit: int | None,
    cursor_file: Path | None,
    as_json: bool,
) -> None:
    """Print the events of tasks, and follow new ones.

    KEY is VoiceConnectorId/TaskId, a key as watcher tasks shows it, or the ARN
    of a task; without it, the events of all tasks are printed, in order for
    each task. The times are in UTC. With --json, results appear as the events
    contain them.

    With --url, the events come from the API of a running watcher. When the
    connection ends, the command prints a line on stderr, connects again, and
    continues after the last event. Without --url, the events come from the
    store of the configuration; --follow reads it once a second.

    --cursor-file makes the command resumable. It writes the cursor after it has
    printed the event, so each event is printed at least once. --after applies
    only while the file does not exist. Exits with 64 if the cursor is no longer
    valid, and with 69 if the watcher does not reply to the first request.

    \b
    Examples:
      watcher events abc123/2f0e
      watcher events -f --json --cursor-file cursor | my-consumer
      watcher events -f --after now --terminal \\
        --url https://watcher.example.com --token-file token
    """
    from watcher.cli.cursor_file import CursorFile
    from watcher.cli.event_printer import EventPrinter

    if key is not None and task is not None and key != task:
        raise click.UsageError("KEY and --task exclude each other: give one of them")
    file = None if cursor_file is None else CursorFile(cursor_file)
    place = (None if file is None else file.load()) or after
    printer = EventPrinter(as_json=as_json, limit=limit, file=file)
    wanted = _request(place, kind, terminal, limit)
    if server is not None:
        _from_server(server, key or task, wanted, printer, follow=follow)
    else:
        _from_store(config, key or task, wanted, printer, follow=follow)


def _request(after: str, kind: str | None, terminal: bool, limit: int | None) -> EventRequest:
    from watcher.cli.event_feed import EventRequest

    return EventRequest(after, None, kind, True if terminal else None, limit)


def _from_server(server: Server, key: str | None, wanted: EventRequest, printer: EventPrinter, *, follow: bool) -> None:
    from watcher.cli.event_feed import pages, stream
    from watcher.cli.event_loop import run
    from watcher.cli.server_access import ServerAccess

    access = ServerAccess(server)
    wanted = wanted.of_task(None if key is None else access.key_of(key))
    run(partial(_print_all, (stream if follow else pages)(access, wanted), printer))


def _from_store(config: Path, key: str | None, wanted: EventRequest, printer: EventPrinter, *, follow: bool) -> None:
    from watcher.cli.store_access import StoreAccess
    from watcher.cli.stored_events import stored_events

    access = StoreAccess(config, "watch")
    wanted = wanted.of_task(None if key is None else access.key_of(key))
    access.run(lambda store: _print_all(stored_events(store, wanted, access.settings.watch.retention, follow=follow), printer))


async def _print_all(batches: AsyncGenerator[list[SentEvent], None], printer: EventPrinter) -> None:
    async with aclosing(batches):
        async for batch in batches:
            printer.show(batch)
            if printer.done:
                return
