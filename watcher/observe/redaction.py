"""Removes personal data and secrets from log lines, by the names of keys and by the form of texts.

A VoiceProfileId has no fixed form (the API allows any 1 to 256 characters), so it is recognized by the name before it, in
a key or in a text (`'VoiceProfileId': '…'`), and by its ARN. Task ids are kept, because a log without them is useless.
May mask too much, but never too little. Raises nothing, and does not change its arguments.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, MutableMapping
from dataclasses import fields, is_dataclass
from functools import lru_cache
from typing import Any

MASK = "[redacted]"
MAX_DEPTH = 8
"""The number of nested containers that are logged; deeper ones are replaced by a note."""

_PERSONS = (
    "voiceprofileid voiceprofilearn confidence confidencescore phonenumber fromnumber tonumber caller callee transactionid statusmessage"
)
_CONTENTS = "body messagebody message result results matches context inputvalue receipt receipthandle"
_SECRETS = "authorization cookie signature accesskeyid secretaccesskey sessiontoken securitytoken awsaccesskeyid"
_PRIVATE = frozenset(f"{_PERSONS} {_CONTENTS} {_SECRETS}".split())
_SECRET_ENDS = ("secret", "secrets", "token", "tokens", "password", "apikey", "privatekey", "secretkey", "accesskey", "credentials")

_IN_TEXT = re.compile(
    r"""
    (?P<name>(?i:                                            # a value after its name: VoiceProfileId=…, "voice_profile_id": "…"
        voice_?profile_?(?:id|arn) | confidence(?:_?score)? | phone_?number | transaction_?id
        | secret(?:_?access)?(?:_?key)? | token | password | access_?key_?id | credential | signature
      )[\\"']*\s*[:=]\s*[\\"']*)  (?P<value>[^\s"'\\,;&)}\]]+)
  | (?P<line>(?i:                                            # free text after its name, up to the end of the line
        status_?message | message_?body | authorization | input_value
      )[\\"']*\s*[:=]\s*)  [^\n]+
  | (?P<scheme>(?i:\bbearer\s+|\bbasic\s+))[\w.~+/=-]{8,}
  | arn:[\w-]+:chime:[\w-]*:\d*:voice-profile/[^\s"'\\,;)}\]]+
  | \bv(?:p)?-[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b
  | (?:\+|%2[Bb])[1-9](?:[\ ().-]{0,2}\d){6,14}              # phone numbers (E.164), also with separators
  | \b(?:tel|sips?):\d{5,15}
  | \b(?:AKIA|ASIA|AROA|AIDA|AGPA|ABIA|ACCA)[A-Z0-9]{12,}    # access key ids
  | \bwhsec_[A-Za-z0-9+/=]+
  | \beyJ[\w-]{8,}\.[\w-]+\.[\w-]*                           # JSON web tokens
  | (?<![A-Za-z0-9/+=])(?=\S{0,39}\d)(?=\S{0,39}[A-Z])(?=\S{0,39}[a-z])[A-Za-z0-9/+]{40}(?![A-Za-z0-9/+=])  # secret keys
  | (?<![A-Za-z0-9/+=])[A-Za-z0-9/+=]{100,}                  # session tokens, receipt handles
    """,
    re.VERBOSE,
)


def redact(_logger: Any, _method: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """The structlog processor that redacts one line. It must come after the processor that formats exceptions."""
    return {_redact_key(name): _redact_value(name, value, 0) for name, value in line.items()}


def redact_text(text: str) -> str:
    """Return a text with everything masked that has the form of personal data or a secret."""
    return _IN_TEXT.sub(_mask, text)


def _mask(match: re.Match[str]) -> str:
    return f"{match['name'] or match['line'] or match['scheme'] or ''}{MASK}"


@lru_cache(maxsize=1024)
def _redact_key(name: str) -> str:
    return redact_text(name)


@lru_cache(maxsize=1024)
def _is_private(key: str) -> bool:
    word = re.sub(r"[^a-z0-9]", "", key.lower())
    return word in _PRIVATE or word.endswith(_SECRET_ENDS)


def _redact_value(key: Any, value: Any, depth: int) -> Any:
    if value is None or isinstance(value, bool):
        return value
    if isinstance(key, str) and _is_private(key):
        return MASK
    if isinstance(value, int | float):
        return value
    if isinstance(value, str):
        return redact_text(value)
    return _redact_container(value, depth)


def _redact_container(value: Any, depth: int) -> Any:
    if isinstance(value, bytes | bytearray | memoryview):
        return f"<{len(value)} bytes>"
    if depth >= MAX_DEPTH:
        return "<too deep>"
    if isinstance(value, Mapping):
        return {_redact_key(str(name)): _redact_value(name, inner, depth + 1) for name, inner in value.items()}
    if isinstance(value, tuple) and hasattr(value, "_fields"):  # the members of a named tuple have names, and some of them are private
        return {name: _redact_value(name, inner, depth + 1) for name, inner in zip(value._fields, value, strict=True)}
    if isinstance(value, list | tuple | set | frozenset):
        return [_redact_value(None, inner, depth + 1) for inner in value]
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: _redact_value(field.name, getattr(value, field.name), depth + 1) for field in fields(value)}
    if isinstance(value, BaseException):
        return redact_text(f"{type(value).__name__}: {value}")
    return redact_text(str(value))
