"""`watcher init`: writes a configuration file to start from. It asks nothing, and replaces a file only with `--force`."""

from __future__ import annotations

import shlex
from pathlib import Path

import click
from click.exceptions import Exit

from watcher.cli.exit_codes import IO
from watcher.cli.options import DEFAULT_CONFIG, FILE, command_line, default_config
from watcher.cli.tables import sentence

STDOUT = Path("-")
TEMPLATES = Path(__file__).parent / "templates"


@click.command()
@click.argument("file", metavar="[FILE]", type=FILE, required=False)
@click.option("--minimal", is_flag=True, help="Write only what is required, without explanations.")
@click.option("--force", is_flag=True, help="Replace the file if it exists.")
def init(file: Path | None, minimal: bool, force: bool) -> None:
    """Write a configuration file to start from.

    FILE is the file to write: without it, the one that WATCHER_CONFIG names, or
    else watcher.yaml; - writes to stdout. The file works as it is (tasks as lines on stdin, events as
    lines on stdout), and its comments explain the other settings. Asks no questions.

    \b
    Examples:
      watcher init
      watcher init --minimal my-watcher.yaml
    """
    target = file or default_config() or DEFAULT_CONFIG
    text = (TEMPLATES / ("minimal.yaml" if minimal else "commented.yaml")).read_text(encoding="utf-8")
    if target == STDOUT:
        click.echo(text, nl=False)
        return
    try:
        with target.open("w" if force else "x", encoding="utf-8") as opened:
            opened.write(text)
    except FileExistsError:
        raise click.BadParameter(f"{target} exists; name another file, or add --force to replace it", param_hint="FILE") from None
    except OSError as error:
        sentence(f"{target}: cannot be written: {_reason(target, error)}", err=True)
        raise Exit(IO) from None
    click.echo(f"Wrote {target}. Next:")
    for words in (("config", "check"), ("doctor",), ("run",)):
        click.echo(f"  {command_line(*words, config=target)}")


def _reason(target: Path, error: OSError) -> str:
    """What prevents writing the file, and what to do."""
    if not target.parent.exists():
        return f"the directory {target.parent} does not exist; create it: {shlex.join(['mkdir', '-p', str(target.parent)])}"
    return f"{error.strerror or error}; check the path, its permissions, and the free space"
