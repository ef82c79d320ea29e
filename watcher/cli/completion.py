"""Completion of commands and options in the shell, as two options of the top level."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

VARIABLE = "_WATCHER_COMPLETE"
"""The environment variable that click reads completion requests from."""
INSTALLATIONS = {
    "bash": (".bashrc", f'eval "$({VARIABLE}=bash_source watcher)"'),
    "zsh": (".zshrc", f'eval "$({VARIABLE}=zsh_source watcher)"'),
    "fish": (".config/fish/completions/watcher.fish", f"{VARIABLE}=fish_source watcher | source"),
}
"""By shell: the file in the home directory, and the line in it that enables the completion."""


def completion_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add `--install-completion` and `--show-completion`."""
    flag: dict[str, Any] = {"is_flag": True, "is_eager": True, "expose_value": False}
    show = click.option("--show-completion", **flag, callback=_show, help="Print the completion script for your shell and exit.")
    install = click.option("--install-completion", **flag, callback=_install, help="Install completion for your shell and exit.")
    return install(show(command))


def _show(ctx: click.Context, _option: click.Parameter, requested: bool) -> None:
    if requested:
        from click.shell_completion import get_completion_class

        complete = get_completion_class(_shell())
        if complete is not None:
            click.echo(complete(ctx.command, {}, "watcher", VARIABLE).source())
        ctx.exit()


def _install(ctx: click.Context, _option: click.Parameter, requested: bool) -> None:
    if requested:
        name, line = INSTALLATIONS[_shell()]
        file = Path.home() / name
        content = file.read_text(encoding="utf-8") if file.exists() else ""
        if line not in content.splitlines():
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(f"{content}{'' if content.endswith(chr(10)) or not content else chr(10)}{line}\n", encoding="utf-8")
        click.echo(f"Completion is installed in {file}. It works in new shells.")
        ctx.exit()


def _shell() -> str:
    """Return the name of the login shell. Raises UsageError for a shell without completion."""
    shell = os.path.basename(os.environ.get("SHELL", ""))
    if shell not in INSTALLATIONS:
        raise click.UsageError(f"completion supports {', '.join(INSTALLATIONS)}; set SHELL to one of them; it is {shell or 'not set'}")
    return shell
