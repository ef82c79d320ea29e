"""`watcher submit`: put tasks where a watcher takes them from. Everything is read before anything is sent."""

from __future__ import annotations

import json
import os
import stat
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any, NoReturn

import anyio
import typer
from pydantic import TypeAdapter, ValidationError

from watcher.adapters.aws.queue import Queue, QueueUrl
from watcher.adapters.aws.session import AwsClients
from watcher.cli import exit_codes
from watcher.cli.submission import SubmitOptions, Submittable, numbered, read_all
from watcher.cli.tables import counted
from watcher.config import read
from watcher.core.hints import hint
from watcher.errors import RemoteError
from watcher.kinds.catalog import DEFAULT_KIND, builtin_catalog
from watcher.ports import Delivered, Rejected, Retry
from watcher.section import seconds


def submit(
    tasks: Annotated[list[str] | None, typer.Argument(metavar="VC/TASK|-", help="VC/TASK or kind/VC/TASK; - reads stdin.")] = None,
    config: Annotated[Path | None, typer.Option("--config", metavar="FILE", help="Send to the source of this configuration.")] = None,
    queue_url: Annotated[str | None, typer.Option(metavar="URL", help="Send to this SQS queue instead.")] = None,
    source: Annotated[str | None, typer.Option(metavar="NAME", help="Which source, where the configuration has several.")] = None,
    file: Annotated[
        Path | None, typer.Option("--file", metavar="FILE", help="Lines: VC/TASK, or JSON messages.", exists=True, dir_okay=False)
    ] = None,
    kind: Annotated[
        str, typer.Option(help=f"Of each VC/TASK that does not say it itself: {' or '.join(builtin_catalog().kinds)}.")
    ] = DEFAULT_KIND,
    context: Annotated[str | None, typer.Option(metavar="JSON", help="Comes back in each event of each VC/TASK; at most 4 KiB.")] = None,
    deadline: Annotated[str | None, typer.Option(metavar="DURATION", help="Stop watching each VC/TASK after this: 90s, 10min, 2h.")] = None,
    skip_bad: Annotated[bool, typer.Option("--skip-bad", help="Send the good ones although others are bad.")] = False,
) -> None:
    """Submit tasks to be watched, through a queue.

    They go to the queue of a configuration, or to any SQS queue by its URL.
    Every line is read first, as the watcher will read it: when one is bad, each
    bad one is told and nothing is sent (exit 64). JSON messages go as they are.

    A task that is submitted twice is watched once. So after a failure (69: out
    of reach, 75: try again, 78: credentials or Region), just submit all of them
    again.

    Examples:

        watcher submit abc123/2f0e abc123/77aa --config watcher.yaml --context '{"call": "c-42"}'

        watcher submit --file tasks.txt --queue-url https://sqs.us-east-1.amazonaws.com/111122223333/speaker-search-tasks

        list-open-tasks | watcher submit - --config watcher.yaml --deadline 2h
    """
    url, path = _target(config, queue_url, source)
    options = SubmitOptions(builtin_catalog(), _kind(kind), _context(context), _deadline(deadline), None if url is None else _region())
    entries, bad = read_all(_lines(tasks or [], file), time.time(), options)
    for line in bad:
        typer.echo(line, err=True)
    if not entries or (bad and not skip_bad):
        typer.echo("nothing was sent" + ("; --skip-bad sends the good ones" if entries else ""), err=True)
        raise typer.Exit(exit_codes.USAGE)
    if url is not None:
        anyio.run(_send, url, entries)
    elif path is not None:
        _append(path, entries)


def _lines(tasks: Sequence[str], file: Path | None) -> Iterator[tuple[str, bytes]]:
    """What is to be submitted, with the place that a mistake is told by."""
    if bool(tasks) == (file is not None):
        raise typer.BadParameter("name tasks, or a --file of them, or - for stdin", param_hint="VC/TASK")
    if file is not None:
        return numbered(str(file), file.read_bytes())
    if list(tasks) == ["-"]:
        return numbered("stdin", sys.stdin.buffer.read())
    return ((f"argument {n}", task.encode("utf-8", "surrogateescape")) for n, task in enumerate(tasks, start=1))


def _target(config: Path | None, queue_url: str | None, source: str | None) -> tuple[str | None, str | None]:
    """The URL of a queue, or the path of a file."""
    if (config is None) == (queue_url is None):
        raise typer.BadParameter("say where to: --config FILE or --queue-url URL", param_hint="--config")
    if queue_url is not None:
        try:
            return str(TypeAdapter(QueueUrl).validate_python(queue_url)), None
        except ValidationError as error:
            raise typer.BadParameter(str(error.errors()[0]["ctx"]["error"]), param_hint="--queue-url") from None
    sources = read(config or "", os.environ).settings.sources
    queues = [each for each in sources if each.type == "sqs"]
    meant = [each for each in sources if each.name == source] if source is not None else queues or sources
    if len(meant) != 1:
        names = ", ".join(each.name for each in (sources if source is not None else meant))
        raise typer.BadParameter(f"the configuration has these: {names}", param_hint="--source")
    return (meant[0].queue_url, None) if meant[0].type == "sqs" else (None, meant[0].path)


async def _send(url: str, entries: Sequence[Submittable]) -> None:
    aws = AwsClients()
    try:
        outcomes = await Queue(url, aws).send([entry.message for entry in entries])
    except RemoteError as error:
        _fail(f"nothing was sent: {error}; {hint(error)}", exit_codes.of(error))
    finally:
        await aws.close()
    taken = [entry for entry, outcome in zip(entries, outcomes, strict=True) if isinstance(outcome, Delivered)]
    for entry, outcome in zip(entries, outcomes, strict=True):
        if isinstance(outcome, Retry | Rejected):
            why = outcome.error if isinstance(outcome, Retry) else outcome.reason
            typer.echo(f"{entry.place}: not taken: {why}", err=True)
    if taken:
        typer.echo(f"submitted {_amount(taken)} to the queue {url.rpartition('/')[2]}")
    if len(taken) < len(entries):
        refused = any(isinstance(outcome, Rejected) for outcome in outcomes)
        _fail("some were not taken; what was taken may be submitted again", exit_codes.UNAVAILABLE if refused else exit_codes.TRY_AGAIN)


def _region() -> str | None:
    try:
        return AwsClients().region()
    except RemoteError as error:
        _fail(f"nothing was sent: {error}; {hint(error)}", exit_codes.of(error))


def _append(path: str, entries: Sequence[Submittable]) -> None:
    """A source that reads a file: its lines are its queue."""
    if path == "-":
        _fail("this configuration reads stdin: pipe the tasks into watcher run", exit_codes.USAGE)
    if Path(path).exists() and stat.S_ISFIFO(Path(path).stat().st_mode):
        _fail(f"this configuration reads a named pipe: while the watcher runs, write VC/TASK lines to {path}", exit_codes.USAGE)
    lines = b"".join(_one_line(entry.message.body) + b"\n" for entry in entries)
    with Path(path).open("a+b") as file:
        if file.tell() > 0:
            file.seek(-1, os.SEEK_END)
            lines = lines if file.read(1) == b"\n" else b"\n" + lines
        file.write(lines)
    typer.echo(f"appended {_amount(entries)} to {path}, for the next start: a watcher that runs has read it already")


def _one_line(body: str) -> bytes:
    return body.strip().encode()


def _amount(entries: Sequence[Submittable]) -> str:
    tasks = sum(entry.tasks for entry in entries)
    return counted(tasks, "task") if tasks == len(entries) else f"{counted(tasks, 'task')} in {counted(len(entries), 'message')}"


def _kind(name: str) -> str:
    if name not in builtin_catalog():
        raise typer.BadParameter(f"the kinds are {', '.join(builtin_catalog().kinds)}", param_hint="--kind")
    return name


def _context(text: str | None) -> Any:
    try:
        return None if text is None else json.loads(text)
    except ValueError as error:
        raise typer.BadParameter(
            f'it is no JSON ({error}); quote it for the shell: \'{{"call": "c-42"}}\'', param_hint="--context"
        ) from None


def _deadline(text: str | None) -> float | None:
    try:
        value = None if text is None else float(seconds(text))
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--deadline") from None
    if value is not None and value <= 0:
        raise typer.BadParameter("it is some time from now, such as 2h", param_hint="--deadline")
    return value


def _fail(words: str, code: int) -> NoReturn:
    typer.echo(words, err=True)
    raise typer.Exit(code)
