"""The command line: `main` runs a command, and turns the way it ended into an exit code and a message.

Each command has a module of its own, which is imported when the command is called (`command_table.py`).
"""

from __future__ import annotations

import io
import sys

import click

from watcher import __version__
from watcher.cli import exit_codes
from watcher.cli.command_table import CommandTable
from watcher.cli.completion import completion_options
from watcher.cli.tables import sentence

__all__ = ["app", "main"]

EPILOG = (
    "Try it without an AWS account: watcher demo. Write a configuration: watcher init. "
    "On a terminal, lines and tables fit its width; in a pipe or a file, nothing is shortened or broken. "
    "Exit codes: 0 success, 3 some tasks failed, 64 usage error, 69 service unavailable, "
    "70 bug, 74 store or file error, 75 try again later, 78 configuration error, 130 SIGINT, 143 SIGTERM."
)


@click.group(
    "watcher",
    cls=CommandTable,
    epilog=EPILOG,
    context_settings={"show_default": True, "max_content_width": 80, "help_option_names": ["-h", "--help"]},
)
@click.version_option(__version__, message="%(version)s", help="Print the version and exit.")
@completion_options
def app() -> None:
    """Watches remote AWS tasks by polling, and delivers an event for every status change: at least once, in order per task, with
    stable ids."""


def main() -> None:
    """Run the command line, and exit with a code of `exit_codes`."""
    try:
        code = app.main(prog_name="watcher", standalone_mode=False)
    except click.ClickException as error:
        _show(error)
        sys.exit(exit_codes.USAGE)
    except click.Abort:
        click.echo("Aborted.", err=True)
        sys.exit(exit_codes.INTERRUPTED)
    except SystemExit as end:  # click exits with 1 when the reader of stdout is gone; no command does
        sys.exit(exit_codes.IO if end.code == 1 else end.code)
    except BaseException as error:  # noqa: BLE001 - the last handler: whatever ends the process has an exit code and a message
        sys.exit(_report(error))
    sys.exit(code if isinstance(code, int) else exit_codes.OK)


def _show(error: click.ClickException) -> None:
    """Print a usage error within the width of the terminal."""
    shown = io.StringIO()
    error.show(shown)
    sentence(shown.getvalue().rstrip("\n"), err=True)


def _report(error: BaseException) -> int:
    code, message = exit_codes.describe(error)
    if code == exit_codes.BUG:
        import traceback

        traceback.print_exception(error)
        message = "This is a bug in the watcher. Please report it with the lines above."
    if message:
        sentence(message, err=True)
    return code
