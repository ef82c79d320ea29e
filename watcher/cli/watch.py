"""`watcher watch`: follows a few tasks on the screen, without a configuration. `follow.py` does the work."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.exceptions import Exit

from watcher.cli.kind_catalog import catalog_for, warn_of_misread_kinds
from watcher.cli.options import FILE

if TYPE_CHECKING:
    from watcher.config import Settings
    from watcher.core.intake.scopes import Targets
    from watcher.kinds.catalog import Catalog
    from watcher.model import TaskRef

NO_CONFIG = "without --config, the only target is the account and Region of the environment: set AWS_REGION and the credentials"
NAME_TARGET = "a target is written before the kind: TARGET/kind/identifiers, or TARGET/kind/ARN"


@click.command()
@click.argument("tasks", metavar="TASK...", nargs=-1, required=True)
@click.option(
    "--rate",
    metavar="RATE",
    type=click.FloatRange(min=0.01),
    help="The maximum calls per second. Without this option, the watcher finds the rate.",
)
@click.option(
    "--patience",
    metavar="SECONDS",
    type=click.FloatRange(min=1),
    default=60,
    help="Stop (exit code 75) after this time without a reply that shows an open task: not found, denied, or no reply at all.",
)
@click.option(
    "--config", metavar="FILE", type=FILE, help="Include the kinds and targets of this configuration. Nothing else in it is used."
)
@click.option("--json", "as_json", is_flag=True, help="Print each event as one line of JSON: the CloudEvent.")
def watch(tasks: tuple[str, ...], rate: float | None, patience: float, config: Path | None, as_json: bool) -> None:
    """Follow a few tasks on the screen until each one ends.

    TASK is VoiceConnectorId/TaskId, kind/identifiers, or the ARN of a task;
    without a kind it is a speaker search. With --config, it can also be
    TARGET/kind/identifiers, and an ARN can be that of a task in a target.

    On a terminal, each open task has a row. Otherwise, or with NO_COLOR or
    TERM=dumb, each change is a line. Ids are shortened to the width of the
    terminal; in a pipe or a file, and with --json, they are whole.

    Needs no configuration and stores nothing. Credentials, Region and endpoints
    come from the environment variables and files of AWS, and for a task in a
    target from the target too. Exit code 0: all tasks succeeded; 3: some failed
    or were stopped; 75: how some tasks ended is not known; 78: a kind of the
    configuration cannot be polled, or the credentials or the Region cannot be
    used, also on a second try.

    \b
    Examples:
      watcher watch abc123/2f0c7f3e-6d0b-4d2c-9a45-0d7c5a7f1f10
      watcher watch eu/transcription/call-42 --config watcher.yaml
    """
    from watcher.cli.target_scopes import targets_of

    settings = None if config is None else _settings(config)
    catalog = _catalog(settings)
    targets = targets_of(settings, _region(tasks), others=False)
    refs = {_ref(task, catalog, targets, NO_CONFIG if config is None else NAME_TARGET) for task in tasks}
    warn_of_misread_kinds(tasks, catalog)

    from watcher.cli.event_loop import run_stoppable
    from watcher.cli.follow import FollowOptions, follow
    from watcher.observe.logs import configure
    from watcher.observe.settings import LogSettings
    from watcher.runtime.settings import Limits

    configure(LogSettings(level="error"))  # the screen says what is wrong; the hints of the log are for a process that keeps its watches
    options = FollowOptions(rate, patience, as_json, config, () if settings is None else settings.targets)
    raise Exit(run_stoppable(partial(follow, refs, catalog, options), Limits().stop_deadline))


def _settings(config: Path) -> Settings:
    """Read the kinds and the targets of a configuration. Raises ConfigMistakes, also for a kind that its API cannot serve."""
    from watcher.config import read_sections

    return read_sections(config, os.environ, ("kinds", "targets"), apis=True)


def _catalog(settings: Settings | None) -> Catalog:
    if settings is None:
        return catalog_for(None)
    from watcher.config import catalog_of

    return catalog_of(settings)


def _region(tasks: Sequence[str]) -> str | None:
    """The Region of the environment if a task may be an ARN; else it decides nothing, and None stands for it."""
    if not any("arn:" in task for task in tasks):
        return None
    from watcher.cli.submit_target import own_region

    return own_region("The Region is not known: ")


def _ref(task: str, catalog: Catalog, targets: Targets, advice: str) -> TaskRef:
    """Return the task that an argument names. `advice` says how to name one in another account or Region. Raises BadParameter."""
    from watcher.core.intake.references import parse_ref
    from watcher.errors import InvalidInput

    try:
        return parse_ref(task, catalog, targets)
    except InvalidInput as error:
        raise click.BadParameter(f"{task!r}: {error}{f'; {advice}' if error.reason == 'scope' else ''}", param_hint="TASK") from None
