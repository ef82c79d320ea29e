"""The result of a benchmark as a table, and its section in docs/benchmarks.md, between two comments with its name."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Part:
    """A further table in the section of a benchmark, with a title of its own."""

    title: str
    note: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]

    def markdown(self) -> str:
        """Title, note and table."""
        return f"### {self.title}\n\n{self.note.strip()}\n\n{_table(self.header, self.rows)}\n"


@dataclass(frozen=True, slots=True)
class Table:
    """The result of one benchmark. Cells are text; `note` is Markdown and says what was measured, how, and what the aim is."""

    title: str
    command: str
    """The command that made this table."""
    note: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    parts: Sequence[Part] = ()
    """What follows the table."""

    def markdown(self) -> str:
        """Title, note, table, parts and command."""
        parts = "".join(f"\n{part.markdown()}" for part in self.parts)
        return f"## {self.title}\n\n{self.note.strip()}\n\n{_table(self.header, self.rows)}\n{parts}\nMade by `{self.command}`.\n"


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [header, ["---"] + ["---:"] * (len(header) - 1), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def command(name: str) -> str:
    """The command that makes the table of this benchmark."""
    return f"python -m tests.benchmarks --only {name}"


def with_section(document: str, name: str, table: Table) -> str:
    """The document with this benchmark's section replaced, or added at its end."""
    section = f"<!-- begin {name} -->\n{table.markdown()}<!-- end {name} -->\n"
    old = re.compile(rf"<!-- begin {name} -->\n.*?<!-- end {name} -->\n", re.DOTALL)
    if old.search(document):
        return old.sub(lambda _: section, document)
    return document.rstrip("\n") + "\n\n" + section
