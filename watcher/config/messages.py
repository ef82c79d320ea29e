"""Explains pydantic's errors in plain English: what is wrong, and what to do.

A message repeats a value only if it is a number, or a word where one of a few was expected. It never repeats a secret.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from pydantic import BeforeValidator
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from watcher.section import NAME_PATTERN, seconds

_TYPES: tuple[tuple[type, str], ...] = (
    (bool, "a boolean"),
    (int, "a number"),
    (float, "a number"),
    (str, "a string"),
    (list, "a list"),
    (dict, "a mapping"),
)

_EXPECTED: Mapping[str, str] = {
    "float_type": "a number",
    "float_parsing": "a number",
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_parsing_size": "a smaller whole number",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "string_type": "a string",
    "list_type": "a list",
    "tuple_type": "a list",
    "dict_type": "a mapping",
    "model_type": "a mapping",
    "path_type": "a path",
    "url_type": "a URL such as https://host/path",
    "url_parsing": "a URL such as https://host/path",
}
"""What each of pydantic's errors about types expected."""

_BOUNDS: Mapping[str, Callable[[dict[str, Any]], str]] = {
    "greater_than": lambda context: f"more than {context['gt']:g}",
    "greater_than_equal": lambda context: f"at least {context['ge']:g}",
    "less_than": lambda context: f"less than {context['lt']:g}",
    "less_than_equal": lambda context: f"at most {context['le']:g}",
    "multiple_of": lambda context: "a whole number" if context["multiple_of"] == 1 else f"a multiple of {context['multiple_of']:g}",
    "url_scheme": lambda context: f"a URL that starts with {context['expected_schemes']}",
}

_LENGTHS: Mapping[str, Callable[[dict[str, Any]], str]] = {
    "too_short": lambda context: f"at least {context['min_length']}",
    "too_long": lambda context: f"at most {context['max_length']}",
    "string_too_short": lambda context: f"at least {context['min_length']}",
    "string_too_long": lambda context: f"at most {context['max_length']}",
    "url_too_long": lambda context: f"at most {context['max_length']}",
}


def type_name(value: Any) -> str:
    """Return the type of a raw value in words: `a string`, `a list`, `null`."""
    return next((name for type_, name in _TYPES if isinstance(value, type_)), "null")


def summary(field: FieldInfo | None) -> str:
    """Return the first sentence of a field's description, on one line."""
    text = " ".join((field.description or "").split()) if field else ""
    return text.split(". ")[0].rstrip(".")


def suggest(word: object, known: Iterable[str]) -> str:
    """Return `did you mean x?` if a known word is similar, otherwise all known words."""
    known = list(known)
    near = difflib.get_close_matches(str(word).lower().replace("-", "_"), known, n=1)
    return f"did you mean {near[0]}?" if near else f"use one of: {', '.join(known)}"


def explain(error: ErrorDetails, field: FieldInfo | None) -> str:
    """Return what one of pydantic's errors says about a field."""
    context, value = error.get("ctx", {}), error["input"]
    match error["type"]:
        case "missing":
            return f"required key is missing; add it ({summary(field)})" if summary(field) else "required key is missing; add it"
        case "value_error" | "assertion_error":
            return str(context["error"])
        case "literal_error" | "enum":
            words = [word.strip("' ") for word in context["expected"].replace(" or ", ", ").split(",")]
            return f"unknown value{_quoted(value)}; {suggest(value, words)}"
        case "string_pattern_mismatch" if context["pattern"] == NAME_PATTERN:
            return "expected a name: 1 to 63 lowercase letters, digits, - and _, the first one a letter or a digit"
        case "string_type" | "string_pattern_mismatch" if _has_pattern(field):
            return f"invalid format; expected: {summary(field)}"
        case "finite_number":
            return "expected a finite number, got infinity"
        case "int_type" | "int_from_float" if isinstance(value, float):
            return "expected a whole number, got a fraction"
        case known if known in _EXPECTED:
            return f"expected {_EXPECTED[known]}, got {type_name(value)}{_hint(known, value)}"
        case known if known in _LENGTHS:
            least_or_most = _LENGTHS[known](context)
            one, many = ("character", "characters") if isinstance(value, str) else ("entry", "entries")
            return f"expected {least_or_most} {one if least_or_most.endswith(' 1') else many}"
        case known if known in _BOUNDS:
            unit = " s" if _is_duration(field) else ""
            return f"expected {_BOUNDS[known](context)}{unit}{_got(value, unit)}"
        case _:
            return f"invalid value; expected: {summary(field) or 'another type of value'}"


def _quoted(value: Any) -> str:
    """Return the value in quotes if it is a short string, otherwise its type."""
    return f' "{value}"' if isinstance(value, str) and len(value) <= 40 and value.isprintable() else f", {type_name(value)}"


def _got(value: Any, unit: str) -> str:
    is_number = isinstance(value, float) or (isinstance(value, int) and abs(value) < 1e300)
    return f", got {value:g}{unit}" if is_number else ""


def _hint(error: str, value: Any) -> str:
    if value is None:
        return "; add a value, or remove the key"
    if error == "bool_type" and str(value).lower() in {"yes", "no", "on", "off", "true", "false"}:
        return "; write true or false in lower case and without quotes"
    if error == "string_type":
        return "; put it in quotes"
    if error in ("float_type", "int_type") and isinstance(value, str):
        return "; write the number without quotes and without a unit"
    return ""


def _has_pattern(field: FieldInfo | None) -> bool:
    return field is not None and any(getattr(part, "pattern", None) for part in field.metadata)


def _is_duration(field: FieldInfo | None) -> bool:
    return field is not None and any(isinstance(part, BeforeValidator) and part.func is seconds for part in field.metadata)
