"""`watcher watch`: follows a few tasks on the screen, without a configuration. `follow.py` does the work."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.exceptions import Exit

from watcher.cli.kind_catalog import catalog_for, warn_of_misread_kinds
from watcher.cli.options import FILE

if TYPE_CHECKING:
    from watcher.core.intake.scopes import Targets
    from watcher.kinds.catalog import Catalog


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
@click.option("--config", metavar="FILE", type=FILE, help="Include the kinds of this configuration. Nothing else in it is used.")
@click.option("--json", "as_json", is_flag=True, help="Print each event as one line of JSON: the CloudEvent.")
def watch(tasks: tuple[str, ...], rate: float | None, patience: float, config: Path | None, as_json: bool) -> None:
    """Follow a few tasks on the screen until each one ends.

    TASK is VoiceConnectorId/TaskId, kind/identifiers, or the ARN of a task;
    without a kind it is a speaker search.

    On a terminal, each open task has a row. Otherwise, or with NO_COLOR or
    TERM=dumb, each change is a line. Ids are shortened to the width of the
    screen (COLUMNS, or 80); --json prints them in full.

    Needs no configuration and stores nothing. Credentials, Region and endpoints
    come from the environment variables and files of AWS. Exit code 0: all tasks
    succeeded; 3: some failed or were stopped; 75: how some tasks ended is not
    known; 78: a kind of the configuration cannot be polled, or the credentials
    or the Region cannot be used, also on a second try.

    \b
    Example:
      watcher watch abc123/2f0c7f3e-6d0b-4d2c-9a45-0d7c5a7f1f10
    """
    catalog = catalog_for(config, to_poll=True)
    keys = {_key(task, catalog) for task in tasks}
    warn_of_misread_kinds(tasks, catalog)

    from watcher.cli.event_loop import run_stoppable
    from watcher.cli.follow import FollowOptions, follow
    from watcher.observe.logs import configure
    from watcher.observe.settings import LogSettings
    from watcher.runtime.settings import Limits

    configure(LogSettings(level="error"))  # the screen says what is wrong; the hints of the log are for a process that keeps its watches
    options = FollowOptions(rate, patience, as_json)
    raise Exit(run_stoppable(partial(follow, keys, catalog, options), Limits().stop_deadline))


def _own_target() -> Targets:
    """Where the tasks must be: the command polls in the configured Region alone."""
    from watcher.cli.submit_target import own_region
    from watcher.cli.target_scopes import targets_of

    return targets_of(None, own_region(), others=False)


def _key(task: str, catalog: Catalog) -> str:
    from watcher.core.intake.references import parse_ref
    from watcher.errors import InvalidInput

    try:
        return parse_ref(task, catalog, _own_target() if "arn:" in task else None).key
    except InvalidInput as error:
        advice = "; watcher watch has no targets: set AWS_REGION and the credentials instead" if error.reason == "scope" else ""
        raise click.BadParameter(f"{task!r}: {error}{advice}", param_hint="TASK") from None
