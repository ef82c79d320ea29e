"""The commands by name. A command's module is imported when the command is called, so that a call imports only what it needs.

The top-level help prints the summaries of the table; a test compares each one with the first line of the command's own help.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import Any, NamedTuple

import click
from click.exceptions import Exit

from watcher.cli import exit_codes


class CommandEntry(NamedTuple):
    """Where a command is defined, as `module:name` in this package, and what it does."""

    path: str
    summary: str


COMMANDS: Mapping[str, CommandEntry] = {
    "run": CommandEntry("run:run", "Poll tasks and deliver an event for every status change."),
    "demo": CommandEntry("demo:demo", "Run the watcher against a simulated service."),
    "init": CommandEntry("init:init", "Write a configuration file to start from."),
    "watch": CommandEntry("watch:watch", "Follow a few tasks on the screen until each one ends."),
    "submit": CommandEntry("submit:submit", "Submit tasks to the queue or the file that a watcher reads."),
    "tasks": CommandEntry("tasks:tasks", "List the tasks in the store, the newest first."),
    "events": CommandEntry("events:events", "Print the events of tasks, and follow new ones."),
    "explain": CommandEntry("explain:explain", "Show one task: its history, its next poll, and the reasons."),
    "replicas": CommandEntry("replicas:replicas", "List the replicas of the store, and what each one owns."),
    "dead-letters": CommandEntry("dead_letters:dead_letters", "List, show, retry or erase dead letters."),
    "forget": CommandEntry("forget:forget", "Erase tasks from the store."),
    "store": CommandEntry("store:store", "Copy the content of a store into another one."),
    "doctor": CommandEntry("doctor:doctor", "Check everything that a configuration needs."),
    "kinds": CommandEntry("kinds:kinds", "List, show, and write kinds of tasks."),
    "simulate": CommandEntry("simulate:simulate", "Serve simulated AWS services on a port."),
    "config": CommandEntry("config:config", "Check, show and describe configurations."),
}


class CommandGroup(click.Group):
    """A group whose help has the whole summary of each command. click cuts summaries to the width of the terminal."""

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write names and summaries into the help."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, (command.help or "").partition("\n")[0]) for name, command in sorted(self.commands.items())])


class CommandTable(click.Group):
    """The group of all commands."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        self.commands = _ImportedOnUse()  # type: ignore[assignment]  # click writes to it in `add_command` only

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names in the order of the table. Imports nothing."""
        return list(COMMANDS)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write names and summaries into the help. Imports nothing."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, entry.summary) for name, entry in COMMANDS.items()])

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command. Ctrl-C exits without the empty line that click prints."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            raise Exit(exit_codes.INTERRUPTED) from None


class _ImportedOnUse(Mapping[str, click.Command]):
    """The commands of the table, each imported at its first use."""

    def __getitem__(self, name: str) -> click.Command:
        module, _, attribute = COMMANDS[name].path.partition(":")
        command: click.Command = getattr(import_module(f"watcher.cli.{module}"), attribute)
        return command

    def __iter__(self) -> Iterator[str]:
        return iter(COMMANDS)

    def __len__(self) -> int:
        return len(COMMANDS)
