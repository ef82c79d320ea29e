"""Sends the messages of `watcher submit --url` to a running watcher, which stores the tasks before it replies."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import click
from click.exceptions import Exit

from watcher.cli import exit_codes
from watcher.cli.server_access import ServerAccess
from watcher.cli.submission import Submittable
from watcher.cli.tables import counted, printable, sentence

if TYPE_CHECKING:
    from watcher.adapters.api_client import WatcherApi

MAX_REQUEST = 500_000
"""The maximum size of the messages in one request, in bytes. The API accepts 1 MiB."""
MAX_MESSAGES = 500
"""Messages in one request, so that one commit of the store stays short."""


def submit_to_server(access: ServerAccess, messages: Sequence[Submittable]) -> None:
    """Submit the messages, print the result, and exit with 64 if the watcher refused some of the tasks."""
    outcomes: list[dict[str, Any]] = []

    async def send(api: WatcherApi) -> None:
        for batch in _batches(messages):
            outcomes.extend(await api.submit([each.message.body.strip() for each in batch]))

    try:
        access.run(send)
    finally:
        _print(outcomes, access.server.url)
    if any(outcome.get("outcome") == "invalid" for outcome in outcomes):
        raise Exit(exit_codes.USAGE)


def _batches(messages: Sequence[Submittable]) -> Iterator[list[Submittable]]:
    batch: list[Submittable] = []
    size = 0
    for each in messages:
        length = len(each.message.body.encode())
        if batch and (size + length > MAX_REQUEST or len(batch) == MAX_MESSAGES):
            yield batch
            batch, size = [], 0
        batch.append(each)
        size += length
    yield batch


def _print(outcomes: Sequence[dict[str, Any]], url: str) -> None:
    """Print how many tasks are new, and a line on stderr for each one that is not watched from now on."""
    admitted = sum(outcome.get("outcome") == "admitted" for outcome in outcomes)
    if outcomes:
        click.echo(f"Submitted {counted(len(outcomes), 'task')} to {url}, of which {admitted} {'is' if admitted == 1 else 'are'} new.")
    for outcome in outcomes:
        if (note := _note(outcome)) is not None:
            sentence(printable(note), err=True)


def _note(outcome: dict[str, Any]) -> str | None:
    key = outcome.get("key")
    match outcome.get("outcome"):
        case "known":
            return f"{key}: already watched; submitting it again changes nothing"
        case "ended":
            return f"{key}: has ended, and is not watched again; to watch it again, erase it first with: watcher forget {key}"
        case "invalid":
            return f"not submitted: {outcome.get('reason')}: {outcome.get('detail')}"
        case "ignored":
            return f"ignored: {outcome.get('detail')}"
    return None
