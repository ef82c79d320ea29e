"""`watcher submit`: sends tasks to where a watcher reads them. All messages are checked before the first one is sent."""

from __future__ import annotations

import json
import os
import shlex
import sys
import time
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.exceptions import Exit

from watcher.cli import exit_codes
from watcher.cli.kind_catalog import catalog_for, warn_of_misread_kinds
from watcher.cli.options import Server, command_line, config_option, default_config
from watcher.cli.server_access import ServerAccess
from watcher.cli.tables import counted, printable, sentence

if TYPE_CHECKING:
    from watcher.cli.server_kinds import ServerKinds
    from watcher.cli.submission import SubmitOptions, Submittable
    from watcher.cli.submit_target import Target
    from watcher.core.intake.scopes import Targets

DEFAULT_KIND = "speaker-search"
"""As `watcher.kinds.catalog` has it; repeated here so that the help need not read the catalog."""


@click.command()
@click.argument("tasks", metavar="[TASK]... [FILE]", nargs=-1)
@config_option("Send to a source of this configuration.", among="tasks", required=False, default=False, server=True)
@click.option("--queue-url", metavar="URL", help="Send to this SQS queue.")
@click.option("--source", metavar="NAME", help="The source, if the configuration has more than one.")
@click.option(
    "--file",
    metavar="FILE",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Read the tasks from this file: one per line, or JSON over any lines.",
)
@click.option("--kind", metavar="NAME", default=DEFAULT_KIND, help="The kind of each task that is given without one.")
@click.option("--context", metavar="JSON", help="A value to repeat in each event of the tasks; at most 4 KiB.")
@click.option("--deadline", metavar="DURATION", help="Stop watching the tasks after this time, such as 90s, 10min or 2h; at most 30d.")
@click.option("--skip-bad", is_flag=True, help="Send the valid messages even if others are invalid.")
@click.option("--dry-run", is_flag=True, help="Print what would be sent, and send nothing.")
def submit(
    tasks: tuple[str, ...],
    config: Path | None,
    server: Server | None,
    queue_url: str | None,
    source: str | None,
    file: Path | None,
    kind: str,
    context: str | None,
    deadline: str | None,
    skip_bad: bool,
    dry_run: bool,
) -> None:
    """Submit tasks to the queue or the file that a watcher reads.

    TASK is VoiceConnectorId/TaskId, a key as watcher tasks shows it, the ARN
    of a task, or a JSON message, such as what
    aws chime-sdk-voice start-speaker-search-task prints.
    Give the tasks as arguments, with --file, or on stdin (-). Give the
    destination with --config, as the argument FILE, which is the same
    configuration, with --queue-url, or with --url for the watcher itself. FILE is
    not a file of tasks: for one, use --file.

    All messages are checked first, as the watcher will read them: if one is
    invalid, all invalid ones are printed and nothing is sent (exit code 64).
    The kinds and targets are those of the configuration, or with --url those of
    the watcher; with --queue-url, only the kinds that ship with it are known.
    JSON messages are sent unchanged; --kind, --context and --deadline apply to
    the other tasks. --dry-run prints the messages on stdout, what they name on
    stderr, and needs no destination and no AWS; with --url, it asks the watcher
    for its kinds and targets.

    A task that is submitted twice is watched once. So after a failure (69
    unavailable, 75 try again, 78 credentials or Region) you can submit all
    tasks again. With --config, the tasks that the store already knows are
    printed on stderr.

    \b
    Examples:
      watcher submit abc123/2f0e abc123/77aa --config watcher.yaml \\
        --context '{"call": "c-42"}'
      watcher submit --file tasks.txt --queue-url \\
        https://sqs.us-east-1.amazonaws.com/111122223333/speaker-search-tasks
      list-open-tasks | watcher submit - --config watcher.yaml --deadline 2h
      watcher submit --file reply.json --dry-run
      watcher submit abc123/2f0e --url https://watcher.example.com
    """
    from watcher.cli.submission import SubmitOptions
    from watcher.cli.submit_target import Target
    from watcher.core.intake.kind_names import unknown_kind

    config = config or (default_config() if queue_url is None and server is None else None)
    untargeted = server is not None or (dry_run and config is None and queue_url is None)
    target = Target() if untargeted else _target(config, queue_url, source)
    access = None if server is None else ServerAccess(server)
    known = None if access is None else _known_to(access, dry_run)
    catalog = catalog_for(config) if known is None else known.catalog
    if kind not in catalog:
        raise click.BadParameter(unknown_kind(kind, catalog).detail, param_hint="--kind")
    targets = _targets(config, target, dry_run) if known is None else known.targets(others=False)
    options = SubmitOptions(catalog, kind, _context(context), _deadline(deadline), targets, target.watch_notified)
    messages = _checked(_messages(tasks, file), options, skip_bad=skip_bad)
    warn_of_misread_kinds(tasks if kind == DEFAULT_KIND else (), catalog)
    if dry_run:
        _print_dry_run(messages, server.url if server is not None else target.url or target.path)
    elif access is not None:
        from watcher.cli.submit_to_server import submit_to_server

        submit_to_server(access, messages)
    else:
        _send(messages, target, config)


def _known_to(access: ServerAccess, dry_run: bool) -> ServerKinds | None:
    """The kinds and targets of the server. None for a dry run without an answer: it checks with the shipped kinds, and says so."""
    from watcher.errors import ApiError

    try:
        return access.kinds
    except ApiError as error:
        if not dry_run:
            raise
        sentence(printable(f"Checked with the kinds that ship with the watcher only: {error}"), err=True)
        return None


def _targets(config: Path | None, target: Target, dry_run: bool) -> Targets:
    """The targets of the configuration, or of a watcher that is not known. A dry run reads no file of AWS."""
    from watcher.cli.submit_target import own_region
    from watcher.cli.target_scopes import targets_for

    return targets_for(config, _environment_region() if dry_run else None if target.url is None else own_region())


def _checked(given: Iterator[tuple[str, bytes]], options: SubmitOptions, *, skip_bad: bool) -> Sequence[Submittable]:
    """Return the valid messages, and print what is wrong with the others. Exits where nothing may be sent."""
    from watcher.cli.submission import read_messages

    messages, errors = read_messages(given, time.time(), options)
    for error in errors:
        sentence(error, err=True)
    if not messages or (errors and not skip_bad):
        click.echo("Nothing was sent." + (" Use --skip-bad to send the valid lines." if messages else ""), err=True)
        raise Exit(exit_codes.USAGE)
    return messages


def _send(messages: Sequence[Submittable], target: Target, config: Path | None) -> None:
    """Send the messages to the queue, or append them to the file. Then print which tasks were known before."""
    from watcher.cli.event_loop import run
    from watcher.cli.submit_target import append_to_file, known_tasks, print_known, send_to_queue

    keys = [each.ref.key for message in messages for each in message.submissions]
    known = [] if config is None else known_tasks(config, keys)
    if target.url is not None:
        run(partial(send_to_queue, target.url, messages))
    elif target.path is not None:
        append_to_file(target.path, messages, command_line("run", config=config))
    _print_notes(messages)
    if config is not None:
        print_known(config, known)


def _target(config: Path | None, queue_url: str | None, source: str | None) -> Target:
    from watcher.cli.submit_target import Target, queue_of_url, target_of_config

    if config is not None and queue_url is None:
        return target_of_config(config, source)
    if queue_url is not None and config is None:
        return Target(queue_of_url(queue_url))
    raise click.BadParameter("give one destination: --config FILE, --queue-url URL, or --url URL", param_hint="--config")


def _environment_region() -> str | None:
    """The Region that AWS's own variables name. A dry run reads no file of AWS."""
    return os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or None


def _print_dry_run(messages: Sequence[Submittable], target: str | None) -> None:
    """Print each message as it would be sent on stdout, and what it names on stderr."""
    for each in messages:
        for submission in each.submissions:
            seen = "" if submission.observation is None else f", {submission.observation.status} by the message"
            click.echo(f"{each.place}: {submission.ref.key}{seen}", err=True)
        click.echo(each.message.body.strip())
    _print_notes(messages)
    click.echo(f"Nothing was sent{'' if target in (None, '-') else f' to {target}'}: this is a dry run.", err=True)


def _print_notes(messages: Sequence[Submittable]) -> None:
    """Print on stderr, once for each note, the first task to which it applies, and the number of the others."""
    noted: dict[str, list[str]] = {}
    for each in messages:
        for submission in each.submissions:
            if (note := each.note(submission)) is not None:
                noted.setdefault(note, []).append(f"{each.place}: {submission.ref.key}")
    for note, places in noted.items():
        others = f" (and for {counted(len(places) - 1, 'other task')})" if len(places) > 1 else ""
        sentence(f"{places[0]}: {note}{others}", err=True)


def _messages(tasks: Sequence[str], file: Path | None) -> Iterator[tuple[str, bytes]]:
    """Return what to submit, each message with the place that an error names."""
    from watcher.cli.submission import numbered_messages

    if bool(tasks) == (file is not None):
        raise click.BadParameter("give tasks, or --file FILE, or - for stdin", param_hint="TASK")
    if file is not None:
        return numbered_messages(str(file), file.read_bytes())
    if list(tasks) == ["-"]:
        return numbered_messages("stdin", sys.stdin.buffer.read())
    for task in tasks:
        if _is_file(task):
            raise click.BadParameter(f"{task} is a file; to read the tasks from it: --file {shlex.quote(task)}", param_hint="TASK")
    return ((f"argument {n}", task.encode("utf-8", "surrogateescape")) for n, task in enumerate(tasks, start=1))


def _is_file(task: str) -> bool:
    """Whether an argument names a file of tasks in place of a task, which has a slash between two ids."""
    looks_like_path = "/" not in task or task.startswith(("/", "./", "../"))
    return looks_like_path and os.path.isfile(task)


def _context(text: str | None) -> Any:
    try:
        return None if text is None else json.loads(text)
    except ValueError as error:
        example = """'{"call": "c-42"}'"""
        raise click.BadParameter(f"not valid JSON ({error}); quote it for the shell: {example}", param_hint="--context") from None


def _deadline(text: str | None) -> float | None:
    from watcher.section import seconds

    try:
        value = None if text is None else float(seconds(text))
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--deadline") from None
    if value is not None and value <= 0:
        raise click.BadParameter("expected a time in the future, such as 2h", param_hint="--deadline")
    return value
