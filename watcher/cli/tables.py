"""Prints tables, facts, and sentences for people: within the width of a terminal, unchanged elsewhere. No markup is interpreted."""

from __future__ import annotations

import shutil
import sys
import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING, TextIO

import click

if TYPE_CHECKING:
    from rich.text import Text

MAX_STYLED = 1000
"""Rows. A longer table is printed as plain text, also on a terminal, because rich takes seconds for thousands of rows."""
Rows = Sequence[Sequence[str]]
GAP, INDENT = "  ", "  "
"""Between two columns, and before what continues a line or a row."""
MIN_ROOM = 24
"""Columns. A last column with less room gets lines of its own."""
UNITS = ((86_400, "d", 3600, "h"), (3600, "h", 60, "min"), (60, "min", 1, "s"))
"""The two units of a duration from 1 min: seconds and name of each."""

_STYLES = {"ok": "green", "failed": "bold red", "skipped": "dim", "SUCCEEDED": "green", "FAILED": "red", "STOPPED": "yellow"}


def table(columns: Sequence[str], rows: Rows, *, own_line: str | None = None) -> None:
    """Print rows under the names of their columns on stdout.

    If the rows are wider than the terminal, the column `own_line` gets lines of its own: the first column a line before the
    others, which is never broken, so that a key can be copied; another column lines after the others, broken between words.
    Without it, the last column is broken between words where there is room.
    """
    clean = [[printable(cell) for cell in row] for row in rows]
    if sys.stdout.isatty() and len(clean) <= MAX_STYLED:
        _print_styled(columns, clean, None if own_line is None else columns.index(own_line))
        return
    widths = [max(map(len, column)) for column in zip(columns, *clean, strict=True)]
    for row in (columns, *clean):
        click.echo(GAP.join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def facts(pairs: Rows) -> None:
    """Print names with their values, one pair per line."""
    width = max(len(name) for name, _ in pairs)
    for name, value in pairs:
        sentence(f"{name.ljust(width)}{GAP}{printable(value)}", indent=" " * width + GAP)


def sentence(text: str, *, indent: str = INDENT, err: bool = False) -> None:
    """Print text for a person. A terminal gets lines that are broken between words, and continued after `indent`.

    A word is never broken, and elsewhere than on a terminal no line is: what reads it may look for whole lines.
    """
    stream = sys.stderr if err else sys.stdout
    for line in text.split("\n"):
        click.echo(wrapped(line, _width(stream), indent), err=err)


def wrapped(line: str, width: int | None, indent: str = INDENT) -> str:
    """Return a line broken between words into lines of at most `width` characters, except for longer words. None: unchanged."""
    if width is None or len(line) <= width:
        return line
    own = line[: len(line) - len(line.lstrip())]
    pieces = textwrap.wrap(
        line, width, subsequent_indent=own + indent, break_long_words=False, break_on_hyphens=False, drop_whitespace=True
    )
    return "\n".join(pieces)


def _width(stream: TextIO | None) -> int | None:
    """The columns of the terminal that a stream writes to; None: it is no terminal."""
    return shutil.get_terminal_size().columns if stream is not None and stream.isatty() else None


def has_columns(columns: int) -> bool:
    """Whether stdout is a terminal with at least so many columns."""
    width = _width(sys.stdout)
    return width is not None and width >= columns


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


def counted(number: int, noun: str, plural: str | None = None) -> str:
    """`1 task`, `2 tasks`; `plural` if it is not the noun with an s."""
    return f"{number} {noun if number == 1 else plural or f'{noun}s'}"


def _print_styled(columns: Sequence[str], rows: Rows, own: int | None) -> None:
    from rich.cells import cell_len
    from rich.console import Console

    screen = Console(highlight=False)
    widths = [max(map(cell_len, column)) for column in zip(columns, *rows, strict=True)]
    fits = sum(widths) + len(GAP) * (len(widths) - 1) <= screen.width
    for number, row in enumerate((columns, *rows)):
        cells = [_styled(cell, "bold" if number == 0 else _STYLES.get(cell, "")) for cell in row]
        for line in [_joined(cells, widths)] if fits else _broken(cells, widths, own, screen.width):
            screen.print(line, soft_wrap=True)


def _broken(cells: Sequence[Text], widths: Sequence[int], own: int | None, width: int) -> list[Text]:
    """The lines of a row that is wider than the terminal."""
    left = sum(widths[:-1]) + len(GAP) * (len(widths) - 1)
    if own is not None or width - left < MIN_ROOM:
        return _stacked(cells, widths, len(cells) - 1 if own is None else own, width)
    first, *others = wrapped(cells[-1].plain, width - left, "").split("\n")
    line = _joined([*cells[:-1], _styled(first, str(cells[-1].style))], widths)
    return [line, *(_styled(" " * left + other, str(cells[-1].style)) for other in others)]


def _stacked(cells: Sequence[Text], widths: Sequence[int], own: int, width: int) -> list[Text]:
    """The lines of a row that is wider than the terminal: the cell `own` has lines of its own."""
    others = [[each for n, each in enumerate(part) if n != own] for part in (cells, widths)]
    rest = _joined(*others)  # type: ignore[arg-type]  # the first list has texts, the second one numbers
    if own == 0:
        return [cells[0], _styled(INDENT, "").append_text(rest)]
    style = str(cells[own].style)
    below = wrapped(INDENT + cells[own].plain, width, "")
    return [rest, *(_styled(line, style) for line in below.split("\n") if line.strip())]


def _joined(cells: Sequence[Text], widths: Sequence[int]) -> Text:
    line = _styled("", "")
    for cell, width in zip(cells, widths, strict=True):
        line.append_text(cell).append(" " * (width - cell.cell_len + len(GAP)))
    line.rstrip()
    return line


def _styled(text: str, style: str) -> Text:
    from rich.text import Text

    return Text(text, style=style)
