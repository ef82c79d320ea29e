"""Explains ruamel.yaml's errors in plain English: the line, what is wrong with it, and what to do."""

from __future__ import annotations

from ruamel.yaml.composer import MaxDepthExceededError
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.reader import ReaderError

from watcher.yaml_text import MAX_DEPTH
from watcher.yaml_text.nodes import LimitExceededError

_BY_CONTEXT: tuple[tuple[str, bool, str], ...] = (
    ("single document", False, "a second document starts here (---); keep one document in a file"),
    ("quoted scalar", True, "a quoted string starts here and does not end; add the closing quote"),
    ("simple key", True, "expected a colon and a value after this key"),
    ("flow", True, "a { or [ starts here and is not complete; add the missing comma or closing bracket"),
    ("block", False, "the indentation of this line does not match the lines around it; align them"),
)
"""Words of an error's context, whether the line is the one where the context starts, and what to say."""


def explain_syntax_error(error: YAMLError, text: str) -> list[tuple[int, str]]:
    """Return lines, counted from 1, and what is wrong on each."""
    if isinstance(error, ReaderError):
        line = text.count("\n", 0, error.position) + 1
        return [(line, "contains a control character; remove it and save the file as plain UTF-8 text")]
    if not isinstance(error, MarkedYAMLError):
        return [(1, f"not valid YAML: {error}")]
    problem, context = error.problem or "cannot be read", error.context or ""
    mark = error.problem_mark or error.context_mark
    start = error.context_mark or error.problem_mark
    line, first_line = (found.line + 1 if found else 1 for found in (mark, start))
    if "'\\t'" in problem:
        return [(number, "indented with a tab; indent with spaces") for number in _tabbed_lines(text) or [line]]
    for words, at_start, what in _BY_CONTEXT:
        if words in context and not _is_reference(error, text):
            return [(first_line if at_start else line, what)]
    return [(line, _explain_problem(error, problem, context, text))]


def _explain_problem(error: MarkedYAMLError, problem: str, context: str, text: str) -> str:
    if isinstance(error, LimitExceededError):
        return problem
    if isinstance(error, MaxDepthExceededError):
        return f"nested more than {MAX_DEPTH} levels deep, the limit; remove levels"
    if _is_reference(error, text):
        return 'inside { } and [ ] a reference needs quotes; write "${NAME}"'
    if "mapping values" in problem:
        return 'unexpected colon; start nested keys on a new line, and quote a string that contains ": "'
    if "undefined alias" in problem:
        return f"{problem.removeprefix('found ')}; define the anchor before the alias"
    if "<document start>" in problem:
        return "expected the end of the text after its first value; correct the indentation or remove this line"
    return f"not valid YAML: {context}{', ' if context else ''}{problem}"


def _is_reference(error: MarkedYAMLError, text: str) -> bool:
    """Whether the error is at the brace of an unquoted `${NAME}`."""
    mark = error.problem_mark
    return mark is not None and text[max(0, mark.index - 1) : mark.index + 1] == "${"


def _tabbed_lines(text: str) -> list[int]:
    return [number for number, line in enumerate(text.splitlines(), 1) if "\t" in line[: len(line) - len(line.lstrip())]]
