"""Finds the calls of loggers in the code of the watcher: the name of the event, and the facts of each call."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from tests.pages import ROOT

GET_LOGGER = "structlog.get_logger"
LEVELS = {"debug", "info", "warning", "error", "exception", "critical"}


class LogCall(NamedTuple):
    """One call of a logger."""

    place: str
    event: str
    facts: frozenset[str]
    has_more_facts: bool
    """Whether it has facts whose names are not in the call (`**facts`)."""


def log_calls() -> list[LogCall]:
    """Return all calls of loggers of structlog in the package."""
    return [call for file in sorted((ROOT / "watcher").rglob("*.py")) for call in _calls(file)]


def _calls(file: Path) -> Iterator[LogCall]:
    text = file.read_text(encoding="utf-8")
    if GET_LOGGER not in text:  # most files; to parse them all takes a second in each process of the tests
        return
    tree = ast.parse(text)
    loggers = {target.id for node in ast.walk(tree) if isinstance(node, ast.Assign) for target in node.targets if _is_logger(node, target)}
    for node in ast.walk(tree):
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in LEVELS):
            continue
        if isinstance(node.func.value, ast.Name) and node.func.value.id in loggers:
            place = f"{file.relative_to(ROOT)}:{node.lineno}"
            first = node.args[0] if node.args else None
            assert isinstance(first, ast.Constant), f"{place}: the name of the event must be a literal text"
            names = [keyword.arg for keyword in node.keywords]
            yield LogCall(place, str(first.value), frozenset(name for name in names if name), None in names)


def _is_logger(node: ast.Assign, target: ast.expr) -> bool:
    call = node.value
    return isinstance(target, ast.Name) and isinstance(call, ast.Call) and ast.unparse(call.func) == GET_LOGGER
