"""Prints tables and facts for people: with rich on a terminal, as aligned plain text elsewhere. No markup is interpreted."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import click

MAX_STYLED = 1000
"""Rows. A longer table is printed as plain text, also on a terminal, because rich takes seconds for thousands of rows."""
Rows = Sequence[Sequence[str]]
UNITS = ((86_400, "d", 3600, "h"), (3600, "h", 60, "min"), (60, "min", 1, "s"))
"""The two units of a duration from 1 min: seconds and name of each."""

_STYLES = {"ok": "green", "failed": "bold red", "skipped": "dim", "SUCCEEDED": "green", "FAILED": "red", "STOPPED": "yellow"}


def table(columns: Sequence[str], rows: Rows) -> None:
    """Print rows under the names of their columns on stdout."""
    clean = [[printable(cell) for cell in row] for row in rows]
    if sys.stdout.isatty() and len(clean) <= MAX_STYLED:
        _print_with_rich(columns, clean)
        return
    widths = [max(map(len, column)) for column in zip(columns, *clean, strict=True)]
    for row in (columns, *clean):
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def facts(pairs: Rows) -> None:
    """Print names with their values, one pair per line."""
    width = max(len(name) for name, _ in pairs)
    for name, value in pairs:
        click.echo(f"{name.ljust(width)}  {printable(value)}")


def printable(text: str) -> str:
    """Escape every character that does not print, except for line ends: text from outside may hold terminal sequences."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c == "\n" else c.encode("unicode_escape", "surrogatepass").decode("ascii") for c in text)


def duration(seconds: float) -> str:
    """Format a duration: `0.42 s`, `12.3 s`, `4 min 10 s`, `2 h 5 min`, `3 d 4 h`."""
    if seconds < 60:
        return f"{seconds:.2f} s" if seconds < 10 else f"{seconds:.1f} s"
    for large, name, small, rest in UNITS:
        if seconds >= large:
            many, left = divmod(int(seconds), large)
            return f"{many} {name} {left // small} {rest}" if left // small else f"{many} {name}"
    raise AssertionError("the last unit is one minute")


def counted(number: int, noun: str) -> str:
    """`1 task`, `2 tasks`."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _print_with_rich(columns: Sequence[str], rows: Rows) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    shown = Table(box=None, pad_edge=False, header_style="bold")
    for name in columns:
        shown.add_column(name, overflow="fold")
    for row in rows:
        shown.add_row(*(Text(cell, style=_STYLES.get(cell, "")) for cell in row))
    Console().print(shown)
