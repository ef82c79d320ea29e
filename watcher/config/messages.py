"""Pydantic's findings in plain words: what is wrong, what would be right.

A value is repeated only where it is a number or a word that should have been one of a few; nothing of a secret is ever repeated.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from pydantic import BeforeValidator
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from watcher.section import Name, seconds

_NAME = next(part.pattern for part in Name.__metadata__[0].metadata if hasattr(part, "pattern"))  # type: ignore[attr-defined]

_KINDS: tuple[tuple[type, str], ...] = (
    (bool, "true or false"),
    (int, "a number"),
    (float, "a number"),
    (str, "a text"),
    (list, "a list"),
    (dict, "a group of keys"),
)

_NEEDED: Mapping[str, str] = {
    "float_type": "a number",
    "float_parsing": "a number",
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_parsing_size": "a whole number of usual size",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "string_type": "a text",
    "list_type": "a list",
    "tuple_type": "a list",
    "dict_type": "a group of keys",
    "model_type": "a group of keys",
    "path_type": "a path",
    "url_type": "a URL such as https://host/path",
    "url_parsing": "a URL such as https://host/path",
}

_BOUNDS: Mapping[str, Callable[[dict[str, Any]], str]] = {
    "greater_than": lambda ctx: f"more than {ctx['gt']:g}",
    "greater_than_equal": lambda ctx: f"at least {ctx['ge']:g}",
    "less_than": lambda ctx: f"less than {ctx['lt']:g}",
    "less_than_equal": lambda ctx: f"at most {ctx['le']:g}",
    "multiple_of": lambda ctx: "a whole number" if ctx["multiple_of"] == 1 else f"a multiple of {ctx['multiple_of']:g}",
    "url_scheme": lambda ctx: f"a URL that begins with {ctx['expected_schemes']}",
}

_LENGTHS: Mapping[str, Callable[[dict[str, Any]], tuple[str, int]]] = {
    "too_short": lambda ctx: ("at least", ctx["min_length"]),
    "too_long": lambda ctx: ("at most", ctx["max_length"]),
    "string_too_short": lambda ctx: ("at least", ctx["min_length"]),
    "string_too_long": lambda ctx: ("at most", ctx["max_length"]),
    "url_too_long": lambda ctx: ("at most", ctx["max_length"]),
}


def kind(value: Any) -> str:
    """What sort of thing this is: `a text`, `a list`."""
    return next((word for type_, word in _KINDS if isinstance(value, type_)), "nothing")


def about(field: FieldInfo | None) -> str:
    """The first sentence of what the field's docstring says, on one line."""
    text = " ".join((field.description or "").split()) if field else ""
    return text.split(". ")[0].rstrip(".")


def choose(word: object, known: Iterable[str]) -> str:
    """`did you mean x?` where one of the known is near, else all there are."""
    known = list(known)
    near = difflib.get_close_matches(str(word).lower().replace("-", "_"), known, n=1)
    return f"did you mean {near[0]}?" if near else f"use one of: {', '.join(known)}"


def explain(error: ErrorDetails, field: FieldInfo | None) -> str:
    """One finding about one field."""
    context, value = error.get("ctx", {}), error["input"]
    match error["type"]:
        case "missing":
            return f"is missing: {about(field)}" if about(field) else "is missing"
        case "value_error" | "assertion_error":
            return str(context["error"])
        case "literal_error" | "enum":
            words = [word.strip("' ") for word in context["expected"].replace(" or ", ", ").split(",")]
            shown = repr(value) if isinstance(value, str) and len(value) <= 40 else kind(value)
            return f"{shown} is unknown; {choose(value, words)}"
        case "string_pattern_mismatch" if context["pattern"] == _NAME:
            return "a name is made of lower case letters, digits, - and _, begins with a letter or digit and has at most 63 of them"
        case "string_type" | "string_pattern_mismatch" if _has_form(field):
            return f"does not have the right form: {about(field)}"
        case "finite_number":
            return "a finite number is needed"
        case "int_type" | "int_from_float" if isinstance(value, float):
            return "a whole number is needed, not a fraction"
        case known if known in _NEEDED:
            return f"{_NEEDED[known]} is needed, not {kind(value)}{_hint(known, value)}"
        case known if known in _LENGTHS:
            bound, count = _LENGTHS[known](context)
            return f"{bound} {count} {'characters' if isinstance(value, str) else 'entries'} are needed"
        case known if known in _BOUNDS:
            unit = " s" if _is_duration(field) else ""
            shown = f", not {value:g}{unit}" if isinstance(value, float) or (isinstance(value, int) and abs(value) < 1e300) else ""
            return f"{_BOUNDS[known](context)}{unit} is needed{shown}"
        case _:
            return f"cannot be used: {about(field) or 'another kind of value is needed'}"


def _hint(error: str, value: Any) -> str:
    if error == "bool_type" and str(value).lower() in {"yes", "no", "on", "off", "true", "false"}:
        return " (yes, no, on and off are texts here; true and false are written so, without quotes)"
    if error == "string_type":
        return "; quotes make it one"
    if error == "float_type" and isinstance(value, str):
        return " (without quotes and without a unit)"
    return ""


def _has_form(field: FieldInfo | None) -> bool:
    return field is not None and any(getattr(part, "pattern", None) for part in field.metadata)


def _is_duration(field: FieldInfo | None) -> bool:
    return field is not None and any(isinstance(part, BeforeValidator) and part.func is seconds for part in field.metadata)
