"""docs/reliability.md: every test that it names is there, and no promise is left out."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "reliability.md").read_text()
ROWS = re.findall(r"^\| ([IFB]\d.*?) \|", PAGE, re.MULTILINE)


@pytest.mark.parametrize("named", sorted(set(re.findall(r"`(tests/[\w/]+\.py::\w+)`", PAGE))))
def test_each_test_that_is_named_exists(named: str) -> None:
    """Whoever looks for the proof of a promise finds it."""
    file, _, test = named.partition("::")
    assert re.search(rf"^(async )?def {test}\(", (ROOT / file).read_text(), re.MULTILINE)


def test_no_promise_is_left_out() -> None:
    """I1-I10, F01-F25 and B01-B11 each have their row."""
    told: set[str] = set()
    for row in ROWS:
        first, dash, last = row.partition("-")
        numbers = range(int(first[1:]), int(last[1:]) + 1) if dash else [int(word[1:]) for word in row.split(", ")]
        told |= {f"{row[0]}{number}" for number in numbers}
    assert told == {f"{letter}{n}" for letter, count in (("I", 10), ("F", 25), ("B", 11)) for n in range(1, count + 1)}
