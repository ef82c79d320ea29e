"""The base of every section of the configuration: frozen, without unknown keys, durations with units.

The sections stand beside the code they configure; `watcher.config.settings` combines them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86400.0}
_DURATION = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([a-z]*)\s*")


@dataclass(frozen=True, slots=True)
class SecretPath:
    """Annotates the URL of a webhook: services like Slack, Discord, and Teams put the secret into the path."""


def without_path(url: str, mask: str) -> str:
    """A URL of which only scheme, host, and port are shown. The mask replaces the rest, if there is any."""
    scheme, separator, rest = url.partition("://")
    place = re.split(r"[/?#\\]", rest, maxsplit=1)[0].rpartition("@")[2]
    hidden = len(rest) > len(place) and rest != f"{place}/"
    return f"{scheme}{separator}{place}{f'/{mask}' if hidden else ''}"


class Section(BaseModel):
    """One section of the configuration. The docstring of each field is its description in the JSON Schema."""

    path_is_local_file: ClassVar[bool] = False
    """Whether the field `path` is a file of this machine: no two sections may use the same one, and `watcher doctor` creates none."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, use_attribute_docstrings=True, validate_default=True)


def seconds(value: Any) -> Any:
    """Convert `"5"`, `"500ms"`, `"5s"`, `"10min"`, `"12h"`, `"7d"` to seconds; return other types as they are. Raises ValueError."""
    if not isinstance(value, str):
        return value
    match = _DURATION.fullmatch(value)
    if match is None or (match[2] or "s") not in _UNITS:
        raise ValueError(f"expected a duration: a number of seconds, or a number with a unit ({', '.join(_UNITS)}), such as 30 or 10min")
    return float(match[1]) * _UNITS[match[2] or "s"]


def local_file(section: object) -> str | None:
    """The local file that a section uses, `-` for standard input or output, None for a section that uses none."""
    return str(getattr(section, "path", "")) or None if getattr(section, "path_is_local_file", False) else None


Seconds = Annotated[
    float,
    BeforeValidator(seconds),
    WithJsonSchema({"anyOf": [{"type": "number"}, {"type": "string", "pattern": _DURATION.pattern}]}),
]
"""A duration in seconds."""

NAME_PATTERN = r"^[a-z0-9][a-z0-9_-]{0,62}$"

Name = Annotated[str, Field(pattern=NAME_PATTERN)]
"""A name for metrics and keys: 1 to 63 lowercase letters, digits, dashes and underscores."""
