"""Explains ruamel.yaml's errors in plain English: the line, what is wrong with it, and what to do."""

from __future__ import annotations

from typing import NamedTuple

from ruamel.yaml.composer import MaxDepthExceededError
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.reader import ReaderError

from watcher.yaml_text import MAX_DEPTH
from watcher.yaml_text.nodes import LimitExceededError


class _Rule(NamedTuple):
    """Words of ruamel.yaml's problem and of its context, what to say, and whether to name the line where the context starts."""

    problem: str
    context: str
    text: str
    at_start: bool = False


_RULES = (
    _Rule("", "a single document", "a second document starts here (---); keep one document in a file"),
    _Rule("", "a quoted scalar", "a quoted string starts here and does not end; add the closing quote", at_start=True),
    _Rule("", "a simple key", "expected a colon and a value after this key", at_start=True),
    _Rule("", "a flow", "a { or [ starts here and is not complete; add the missing comma or closing bracket", at_start=True),
    _Rule("", "a block scalar", "unexpected text after | or >; start the text on the next line"),
    _Rule("", "an alias", "expected a name after *; put a value that starts with * in quotes"),
    _Rule("", "an anchor", "expected a name after &; put a value that starts with & in quotes"),
    _Rule("node content", "", "expected a value; put a value that starts with this character in quotes"),
    _Rule("sequence entries", "", "a list entry cannot start here; start it on a new line"),
    _Rule("mapping values", "", 'unexpected colon; start nested keys on a new line, and quote a string that contains ": "'),
    _Rule("cannot start any token", "", "a value cannot start with this character; put the value in quotes"),
    _Rule("escape", "", 'invalid escape in a string with double quotes; use single quotes, or write "\\\\" for a backslash'),
    _Rule("undefined alias", "", "undefined alias; define its anchor (&name) before the alias (*name)"),
    _Rule("<document start>", "", "unexpected text after the end of the data; correct the indentation or remove the text"),
    _Rule("version", "", "unsupported YAML version; remove the %YAML line"),
)


def explain_syntax_error(error: YAMLError, text: str) -> list[tuple[int, str]]:
    """Return lines, counted from 1, and what is wrong on each."""
    if isinstance(error, ReaderError):
        line = text.count("\n", 0, error.position) + 1
        return [(line, "contains a control character; remove it and save the file as plain UTF-8 text")]
    if not isinstance(error, MarkedYAMLError):
        return [(1, f"not valid YAML: {error}")]
    mark = error.problem_mark or error.context_mark
    line = mark.line + 1 if mark else 1
    if "'\\t'" in (error.problem or ""):
        return [(number, "indented with a tab; indent with spaces") for number in _tabbed_lines(text) or [line]]
    what = _explain_limit(error) or _explain_place(error, text)
    if what is not None:
        return [(line, what)]
    problem, context = error.problem or "", error.context or ""
    rule = next((rule for rule in _RULES if rule.problem in problem and rule.context in context), None)
    if rule is None:
        return [(line, f"not valid YAML: {', '.join(filter(None, (context, problem)))}")]
    start = error.context_mark or mark
    return [(start.line + 1 if rule.at_start and start else line, rule.text)]


def _explain_limit(error: MarkedYAMLError) -> str | None:
    if isinstance(error, MaxDepthExceededError):
        return f"nested deeper than the limit of {MAX_DEPTH} levels; remove levels"
    return error.problem if isinstance(error, LimitExceededError) else None


def _explain_place(error: MarkedYAMLError, text: str) -> str | None:
    """Explain the errors that only the surrounding text can distinguish."""
    mark = error.problem_mark
    if mark is None:
        return None
    before = text[: mark.index]
    if before.endswith("$") and text[mark.index : mark.index + 1] == "{":
        return 'inside { } and [ ] a reference needs quotes; write "${NAME}"'
    if "a block" in (error.context or "") and "<block end>" in (error.problem or ""):
        if before.rpartition("\n")[2].strip():
            return "unexpected text after a value; put the whole value in quotes"
        return "the indentation of this line does not match the lines around it; align them"
    return None


def _tabbed_lines(text: str) -> list[int]:
    return [number for number, line in enumerate(text.splitlines(), 1) if "\t" in line[: len(line) - len(line.lstrip())]]
