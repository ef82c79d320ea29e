"""The commands. Each stands in a file of its own; this one mounts them and turns whatever ends them into an exit code."""

from __future__ import annotations

import sys
import traceback
from typing import Annotated

import typer

from watcher import __version__
from watcher.cli import config, dead_letters, exit_codes
from watcher.cli.demo import demo
from watcher.cli.doctor import doctor
from watcher.cli.explain import explain
from watcher.cli.forget import forget
from watcher.cli.run import run
from watcher.cli.simulate import simulate
from watcher.cli.submit import submit
from watcher.cli.tasks import tasks
from watcher.cli.watch import watch

app = typer.Typer(
    name="watcher",
    help="Watches remote AWS tasks by polling and tells the world, once and in order, whenever one changes status.",
    epilog="Try it without an AWS account: watcher demo. Exit codes: 0 done, 3 some tasks failed, 64 usage, 69 unavailable, 70 bug, "
    "74 store or disk, 75 try again, 78 configuration, 130 and 143 signals.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,  # tracebacks with local variables would show what must never be shown
)
app.command()(run)
app.command()(demo)
app.command()(watch)
app.command()(submit)
app.command()(tasks)
app.command()(explain)
app.add_typer(dead_letters.app, name="dead-letters")
app.command()(forget)
app.command()(doctor)
app.command()(simulate)
app.add_typer(config.app, name="config")


def _version(asked: bool) -> None:
    if asked:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def _main(version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")] = False) -> None:
    pass


def main() -> None:
    """The console script."""
    try:
        app()
    except SystemExit as end:
        # typer says 2 for a mistake in the arguments, and 1 for Ctrl-C and for a reader who left; sysexits.h says otherwise
        one = exit_codes.IO if isinstance(end.__context__, BrokenPipeError) else exit_codes.INTERRUPTED
        code = {1: one, 2: exit_codes.USAGE}.get(end.code, end.code) if isinstance(end.code, int) else end.code
        sys.exit(code)
    except BaseException as error:  # noqa: BLE001 - the last stop: every end has an exit code and a sentence
        code, words = exit_codes.explain(error)
        if code == exit_codes.BUG:
            traceback.print_exc()
            words = "this is a bug in the watcher: please report it with the lines above"
        if words:
            print(words, file=sys.stderr)
        sys.exit(code)
