"""Where `watcher submit` sends tasks: an SQS queue, or the file that a source reads."""

from __future__ import annotations

import os
import shlex
import stat
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, NoReturn

import click
from click.exceptions import Exit
from pydantic import TypeAdapter, ValidationError

from watcher.adapters.aws.arns import QueueUrl
from watcher.adapters.aws.queue import Queue
from watcher.adapters.aws.session import AwsClients
from watcher.cli import exit_codes
from watcher.cli.options import command_line
from watcher.cli.store_access import StoreAccess
from watcher.cli.submission import Submittable
from watcher.cli.tables import counted, duration
from watcher.config import read_sections
from watcher.core.hints import hint
from watcher.errors import ConfigMistakes, RemoteError, StoreError
from watcher.model import Watch
from watcher.ports import Delivered, Rejected, Retry, Store

MAX_LOOKUPS = 1000
"""Tasks that are looked up in the store before they are sent."""


def queue_of_url(url: str) -> str:
    """Return the URL of an SQS queue as it is. Raises BadParameter for any other text."""
    try:
        return str(TypeAdapter(QueueUrl).validate_python(url))
    except ValidationError as error:
        raise click.BadParameter(str(error.errors()[0]["ctx"]["error"]), param_hint="--queue-url") from None


class Target(NamedTuple):
    """The URL of a queue, or the path of a file; neither for a dry run without a target."""

    url: str | None = None
    path: str | None = None
    watch_notified: bool | None = None
    """Whether the source that reads it starts watches from notifications of AWS; None if the source is unknown."""


def target_of_config(config: Path, source: str | None) -> Target:
    """Return the queue or the file that a source of this configuration reads.

    Without a name: the only queue, or the only source. Raises BadParameter where that is not exactly one.
    """
    sources = read_sections(config, os.environ, ("sources",)).sources
    queues = [each for each in sources if each.type == "sqs"]
    meant = [each for each in sources if each.name == source] if source is not None else queues or sources
    if len(meant) != 1:
        names = ", ".join(each.name for each in (sources if source is not None else meant))
        raise click.BadParameter(f"use one of the sources of the configuration: {names}", param_hint="--source")
    notified = bool(getattr(meant[0], "watch_notified", False))
    return Target(meant[0].queue_url, None, notified) if meant[0].type == "sqs" else Target(None, meant[0].path, notified)


def own_region(consequence: str = "Nothing was sent: ") -> str | None:
    """Return the configured Region. Exits where the AWS configuration cannot be read; `consequence` begins the error."""
    try:
        return AwsClients().region()
    except RemoteError as error:
        _fail(f"{consequence}{error}; {hint(error)}", exit_codes.of_remote(error))


async def send_to_queue(url: str, messages: Sequence[Submittable]) -> None:
    """Send all messages, print the result, and exit if some were not sent."""
    aws = AwsClients()
    try:
        outcomes = await Queue(url, aws).send([each.message for each in messages])
    except RemoteError as error:
        _fail(f"Nothing was sent: {error}; {hint(error)}", exit_codes.of_remote(error))
    finally:
        await aws.close()
    sent = [each for each, outcome in zip(messages, outcomes, strict=True) if isinstance(outcome, Delivered)]
    for each, outcome in zip(messages, outcomes, strict=True):
        if isinstance(outcome, Retry | Rejected):
            reason = outcome.error if isinstance(outcome, Retry) else outcome.reason
            click.echo(f"{each.place}: not sent: {reason}", err=True)
    if sent:
        click.echo(f"Submitted {_amount(sent)} to the queue {url.rpartition('/')[2]}.")
    if len(sent) < len(messages):
        final = any(isinstance(outcome, Rejected) for outcome in outcomes)
        _fail("Some were not sent. You can submit all of them again.", exit_codes.UNAVAILABLE if final else exit_codes.TRY_AGAIN)


def append_to_file(path: str, messages: Sequence[Submittable], run: str) -> None:
    """Append the messages to the file of a source, each on lines of its own. `run` is the command that reads it, for stdin."""
    if path == "-":
        _fail(f"This configuration reads stdin: pipe the tasks into: {run}", exit_codes.USAGE)
    if Path(path).exists() and stat.S_ISFIFO(Path(path).stat().st_mode):
        pipe = shlex.quote(path)
        _fail(f"This configuration reads a named pipe: while the watcher runs, write one task per line to {pipe}.", exit_codes.USAGE)
    lines = b"".join(each.message.body.strip().encode() + b"\n" for each in messages)
    with Path(path).open("a+b") as file:
        if file.tell() > 0:
            file.seek(-1, os.SEEK_END)
            lines = lines if file.read(1) == b"\n" else b"\n" + lines
        file.write(lines)
    click.echo(f"Appended {_amount(messages)} to {path}. The watcher reads the file when it starts.")


def known_tasks(config: Path, keys: Sequence[str]) -> list[Watch]:
    """Return the watches that the store of this configuration has for these tasks. Call it before the tasks are sent.

    Afterward, a running watcher may have admitted them. A store that cannot be read, or that holds its tasks in another
    place, is no failure: the tasks are sent.
    """

    async def find(store: Store) -> list[Watch]:
        found = [await store.task(key) for key in dict.fromkeys(keys[:MAX_LOOKUPS])]
        return [watch for watch in found if watch is not None]

    try:
        return StoreAccess(config).run(find)
    except (StoreError, ConfigMistakes):
        return []


def print_known(config: Path, known: Sequence[Watch]) -> None:
    """Print on stderr what the store had for these tasks before they were sent: submitting them again changes nothing."""
    for watch in known:
        if watch.ended_at is None:
            state = f"already watched ({watch.status or 'not seen yet'}); submitting it again changes nothing"
        else:
            how = watch.status if watch.end_reason in ("terminal", "settled") else watch.end_reason
            ago = duration(max(0.0, time.time() - watch.ended_at))
            again = command_line("forget", watch.key, config=config)
            state = f"ended {ago} ago ({how}), and is not watched again; to start over: {again}"
        click.echo(f"{watch.key}: {state}", err=True)


def _amount(messages: Sequence[Submittable]) -> str:
    tasks = sum(each.tasks for each in messages)
    return counted(tasks, "task") if tasks == len(messages) else f"{counted(tasks, 'task')} in {counted(len(messages), 'message')}"


def _fail(message: str, code: int) -> NoReturn:
    click.echo(message, err=True)
    raise Exit(code)
