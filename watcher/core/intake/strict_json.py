"""JSON from strangers: refuses, with a reason, what two readers could understand differently or what would cost too much.

`json.loads` alone takes the last of two equal keys, turns `NaN` into a number and runs out of stack on deep nesting.
No text of an error here repeats what it read: bodies may hold identifiers of persons.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from typing import Any, NoReturn

from watcher.errors import InvalidInput

MAX_BODY = 256 * 1024
"""Bytes. What an SQS message holds, and more than any list of tasks needs."""
MAX_DEPTH = 32
"""Objects and lists within each other. A deeper text is an attack or an accident."""
MAX_NUMBER = 64
"""Characters of a number. Longer ones lose digits in every other reader, and cost quadratic time in this one."""

JSON_SPACE = " \t\r\n"

_STRUCTURE = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"?|[\[\]{}]', re.DOTALL)
"""A whole string, closed or not, or a bracket. It never backtracks, so the scan is linear on any text."""


def decode(body: bytes) -> Any:
    """The value a body holds. Raises InvalidInput: size, encoding, empty, depth, parse, duplicate_key, number."""
    return decode_text(text_of(body))


def text_of(body: bytes) -> str:
    """The body as text, without a byte order mark. Raises InvalidInput: size, encoding, empty."""
    if len(body) > MAX_BODY:
        raise InvalidInput("size", f"more than {MAX_BODY} bytes")
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InvalidInput("encoding", f"not UTF-8 at byte {error.start}") from None
    if not text.strip(JSON_SPACE):
        raise InvalidInput("empty", "nothing in it")
    return text


def decode_text(text: str) -> Any:
    """As `decode`, for text that stood inside another message."""
    text = text.removeprefix("\ufeff")
    if not text.strip(JSON_SPACE):
        raise InvalidInput("empty", "nothing in it")
    if _deeper_than(text, MAX_DEPTH):
        raise InvalidInput("depth", f"nested more than {MAX_DEPTH} deep")
    try:
        value = json.loads(text, object_pairs_hook=_object, parse_int=_int, parse_float=_float, parse_constant=_constant)
    except json.JSONDecodeError as error:
        raise InvalidInput("parse", f"{error.msg} at character {error.pos}") from None
    if "\\u" in text and not encodable(value):
        raise InvalidInput("encoding", "half of a surrogate pair")
    return value


def canonical(value: Any) -> str:
    """The one way to write a decoded value: sorted keys, no spaces, not escaped."""
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"), allow_nan=False)


def encodable(value: Any) -> bool:
    """Whether every string in it can leave as UTF-8 again: `"\\ud800"` alone is legal JSON and no text."""
    try:
        canonical(value).encode()
    except UnicodeEncodeError:
        return False
    return True


def _deeper_than(text: str, limit: int) -> bool:
    depth = 0
    for match in _STRUCTURE.finditer(text):
        sign = match[0]
        if sign in ("[", "{"):
            depth += 1
        elif sign in ("]", "}"):
            depth -= 1
        if depth > limit:
            return True
    return False


def _object(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise InvalidInput("duplicate_key", "a member stands twice in one object")
    return members


def _int(digits: str) -> int:
    if len(digits) > MAX_NUMBER:
        raise InvalidInput("number", f"a number of more than {MAX_NUMBER} characters")
    return int(digits)


def _float(digits: str) -> float:
    number = float(digits) if len(digits) <= MAX_NUMBER else math.inf
    if math.isinf(number):
        raise InvalidInput("number", "a number too large or too long")
    return number


def _constant(name: str) -> NoReturn:
    raise InvalidInput("number", f"{name} is not JSON")
