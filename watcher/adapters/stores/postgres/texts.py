"""Texts in PostgreSQL, which cannot hold the character NUL. It is stored as `␀0`, and so a `␀` as `␀␀`; both are rare.

Two different texts are never stored as the same one, so keys stay unique and filters find what they look for.
"""

from __future__ import annotations

import re
from typing import Any

from psycopg.abc import AdaptContext, Buffer
from psycopg.adapt import Dumper, Loader
from psycopg.pq import Format

_ESCAPE = "\u2400"
_TEXT_OID = 25
_SPECIAL = re.compile("[\0\u2400]")
_ESCAPED = re.compile("\u2400(.)")


def to_stored(text: str) -> str:
    """The text as it is stored."""
    if "\0" in text or _ESCAPE in text:
        return _SPECIAL.sub(lambda found: _ESCAPE + ("0" if found[0] == "\0" else _ESCAPE), text)
    return text


def from_stored(text: str) -> str:
    """The text that is stored as this one."""
    return _ESCAPED.sub(lambda found: "\0" if found[1] == "0" else found[1], text) if _ESCAPE in text else text


class _TextDumper(Dumper):
    oid = _TEXT_OID

    def dump(self, obj: str) -> Buffer:
        return to_stored(obj).encode()


class _BinaryTextDumper(_TextDumper):
    format = Format.BINARY


class _TextLoader(Loader):
    def load(self, data: Buffer) -> str:
        return from_stored(bytes(data).decode())


class _BinaryTextLoader(_TextLoader):
    format = Format.BINARY


def register(context: AdaptContext) -> None:
    """Let a connection store and read texts in this way."""
    adapters: Any = context.adapters
    for dumper in (_BinaryTextDumper, _TextDumper):
        adapters.register_dumper(str, dumper)
    for loader in (_TextLoader, _BinaryTextLoader):
        adapters.register_loader("text", loader)
