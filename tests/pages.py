"""What the tests of documentation pages share: the pages, their code blocks, their tables."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGES = sorted([*ROOT.glob("docs/*.md"), *ROOT.glob("config/deploy/*.md"), *(ROOT / name for name in ("README.md", "CONTRIBUTING.md"))])
ARCHITECTURE, OPERATING, EVENTS, EXTENDING = (ROOT / "docs" / f"{name}.md" for name in ("architecture", "operating", "events", "extending"))
FENCE = re.compile(r"^( *)```(\S*)\n(.*?)^\1```$", re.DOTALL | re.MULTILINE)


def blocks(page: Path, *languages: str) -> list[str]:
    """Return the code blocks of a page in these languages."""
    return [body for _, language, body in FENCE.findall(page.read_text()) if language in languages]


def prose(page: Path) -> str:
    """Return the page without its code blocks."""
    return FENCE.sub("", page.read_text())


def first_column(page: Path, heading: str) -> list[list[str]]:
    """Return the names in backticks in the first column of the first table under a heading, one list for each row."""
    section = page.read_text().split(f"\n{heading}\n", 1)[1].lstrip("\n")
    table = re.search(r"^\|.*?\n\|[-| ]+\|\n((?:\|.*\n?)+)", section, re.MULTILINE)
    assert table is not None, heading
    return [re.findall(r"`([^`]+)`", row.split("|")[1]) for row in table[1].splitlines()]
