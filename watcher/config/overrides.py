"""`WATCHER_SECTION__KEY=value`: the environment laid over the file.

`WATCHER_SINKS__0__PATH` names an entry of a list by its index, one behind the last adds an entry. Only names with a
double underscore are meant; whether the key exists is for `validate` to say, as for any other key.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from watcher.config.raw_config import Path, RawConfig, SourceLine
from watcher.config.scalars import resolve, unreadable

PREFIX = "WATCHER_"
_INDEX = re.compile(r"[0-9]{1,4}")


def override(raw_config: RawConfig, environ: Mapping[str, str]) -> None:
    """Lay every `WATCHER_X__Y` of the environment over the raw_config."""
    variables = [name for name in environ if name.startswith(PREFIX) and "__" in name.removeprefix(PREFIX)]
    for variable in sorted(variables, key=lambda name: [part.zfill(6) for part in name.split("__")]):
        place = SourceLine(variable=variable)
        what = unreadable(environ[variable]) or _put(raw_config, variable, environ[variable], place)
        if what is not None:
            raw_config.wrong(_path(variable), what, place)


def _path(variable: str) -> Path:
    return tuple(int(part) if _INDEX.fullmatch(part) else part for part in variable.removeprefix(PREFIX).lower().split("__"))


def _put(raw_config: RawConfig, variable: str, word: str, place: SourceLine) -> str | None:
    """Write one value, and the groups and lists that lead to it. Returns what kept it from that."""
    path = _path(variable)
    here: Any = raw_config.value
    for depth, part in enumerate(path):
        at = path[: depth + 1]
        if isinstance(here, list):
            if not isinstance(part, int) or part > len(here):
                return f"an index from 0 to {len(here)} is needed here ({len(here)} adds one), as in {PREFIX}SINKS__0__PATH"
            if part == len(here):
                here.append(None)
        elif isinstance(here, dict):
            part = str(part)
            at = (*path[:depth], part)
            here.setdefault(part, None)
        else:
            return "this key holds a single value, there is nothing inside it to set"
        if depth == len(path) - 1:
            here[part] = resolve(word)
            raw_config.places[at] = place
            raw_config.words[at] = word
        elif here[part] is None:
            here[part] = [] if isinstance(path[depth + 1], int) else {}
            raw_config.places[at] = place
        here = here[part]
    return None
