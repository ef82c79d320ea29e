"""How commands print for people: rich on a terminal, plain aligned text anywhere else. Never markup, never control characters."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

Rows = Sequence[Sequence[str]]
UNITS = ((86_400, "d", 3600, "h"), (3600, "h", 60, "min"), (60, "min", 1, "s"))
"""A duration is said in two units at most."""

_STYLES = {"ok": "green", "failed": "bold red", "skipped": "dim", "SUCCEEDED": "green", "FAILED": "red", "STOPPED": "yellow"}


def table(columns: Sequence[str], rows: Rows) -> None:
    """The rows under the names of their columns, on stdout."""
    clean = [[printable(cell) for cell in row] for row in rows]
    if sys.stdout.isatty():
        _on_terminal(columns, clean)
        return
    widths = [max(map(len, column)) for column in zip(columns, *clean, strict=True)]
    for row in (columns, *clean):
        typer.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def facts(pairs: Rows) -> None:
    """Names and what they stand for, one pair a line."""
    width = max(len(name) for name, _ in pairs)
    for name, value in pairs:
        typer.echo(f"{name.ljust(width)}  {printable(value)}")


def printable(text: str) -> str:
    """What is not ours may hold terminal sequences: everything that does not print is shown as its escape, but for line ends."""
    return "".join(c if c.isprintable() or c == "\n" else c.encode("unicode_escape", "surrogatepass").decode("ascii") for c in text)


def duration(seconds: float) -> str:
    """`0.42 s`, `12.3 s`, `4 min 10 s`, `2 h 5 min`, `3 d 4 h`."""
    if seconds < 60:
        return f"{seconds:.2f} s" if seconds < 10 else f"{seconds:.1f} s"
    for large, name, small, rest in UNITS:
        if seconds >= large:
            many, left = divmod(int(seconds), large)
            return f"{many} {name} {left // small} {rest}" if left // small else f"{many} {name}"
    raise AssertionError("a minute is the last unit")


def counted(number: int, noun: str) -> str:
    """`1 task`, `2 tasks`."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _on_terminal(columns: Sequence[str], rows: Rows) -> None:
    shown = Table(box=None, pad_edge=False, header_style="bold")
    for name in columns:
        shown.add_column(name, overflow="fold")
    for row in rows:
        shown.add_row(*(Text(cell, style=_STYLES.get(cell, "")) for cell in row))
    Console().print(shown)
