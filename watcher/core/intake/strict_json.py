"""Reads JSON from untrusted senders. Rejects, with a reason, what two readers could understand differently or what costs too much.

`json.loads` alone takes the last of two equal keys, turns `NaN` into a number, and overflows the stack on deep nesting.
No error text here repeats what was read: bodies may hold identifiers of persons.
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
"""Objects and lists inside each other. A text that is nested deeper is an attack or a mistake."""
MAX_NUMBER = 64
"""Characters of a number. Other readers lose digits of longer ones, and Python needs quadratic time for them."""

JSON_SPACE = " \t\r\n"

_STRUCTURE = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"?|[\[\]{}]', re.DOTALL)
"""A whole string, closed or not, or a bracket. It never backtracks, so the scan is linear on any text."""


def decode(body: bytes) -> Any:
    """Return the value of a JSON body. Raises InvalidInput: size, encoding, empty, depth, parse, duplicate_key, number."""
    return decode_text(text_of(body))


def text_of(body: bytes, max_body: int = MAX_BODY) -> str:
    """Return the body as text, without a byte order mark. Raises InvalidInput: size, encoding, empty."""
    if len(body) > max_body:
        raise InvalidInput("size", f"the message is larger than {max_body} bytes; split it")
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InvalidInput("encoding", f"the message is not UTF-8 at byte {error.start}; send UTF-8") from None
    if not text.strip(JSON_SPACE):
        raise _empty()
    return text


def decode_text(text: str) -> Any:
    """Return the value of a JSON text, as `decode` does for bytes."""
    text = text.removeprefix("\ufeff")
    if not text.strip(JSON_SPACE):
        raise _empty()
    if _deeper_than(text, MAX_DEPTH):
        raise InvalidInput("depth", f"objects and lists are nested more than {MAX_DEPTH} deep")
    try:
        value = json.loads(text, object_pairs_hook=_object, parse_int=_int, parse_float=_float, parse_constant=_constant)
    except json.JSONDecodeError as error:
        raise InvalidInput("parse", f"not valid JSON at character {error.pos}: {error.msg}") from None
    if "\\u" in text and not encodable(value):
        raise InvalidInput("encoding", "a \\u escape is half of a surrogate pair; write the whole character")
    return value


def canonical(value: Any) -> str:
    """Return the one canonical text of a decoded value: sorted keys, no spaces, no escapes beyond the required ones."""
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"), allow_nan=False)


def encodable(value: Any) -> bool:
    """Whether every string in a value can be written as UTF-8: `"\\ud800"` alone is legal JSON and not text."""
    try:
        canonical(value).encode()
    except UnicodeEncodeError:
        return False
    return True


def _empty() -> InvalidInput:
    return InvalidInput("empty", "the message is empty; name a task in it")


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
        raise InvalidInput("duplicate_key", "an object has two members of the same name; remove one")
    return members


def _int(digits: str) -> int:
    if len(digits) > MAX_NUMBER:
        raise InvalidInput("number", f"a number has more than {MAX_NUMBER} characters")
    return int(digits)


def _float(digits: str) -> float:
    number = float(digits) if len(digits) <= MAX_NUMBER else math.inf
    if math.isinf(number):
        raise InvalidInput("number", f"a number is too large, or has more than {MAX_NUMBER} characters")
    return number


def _constant(name: str) -> NoReturn:
    raise InvalidInput("number", f"{name} is not a JSON number")
