"""Applies environment variables over the file: `WATCHER_PACE__RATE=5` sets `pace.rate`.

`WATCHER_SINKS__0__PATH` names an entry of a list by its index; the index after the last one adds an entry. Variables
without a double underscore are ignored. Case does not matter, except for a name that is not a key of ours and not in the
file, such as a further status of a kind. `validate` reports unknown keys, as for the file.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from watcher.config.raw_config import RawConfig, SourceLine
from watcher.yaml_text import KeyPath, dotted, encoding_mistake, plain_value

PREFIX = "WATCHER_"
_INDEX = re.compile(r"[0-9]{1,4}")
_NAMES = frozenset({"params", "extra", "types", "statuses", "durations", "not_found"})
"""The keys of a kind below which there are names: of parameters, statuses, members, and error codes."""


def apply_overrides(raw_config: RawConfig, environ: Mapping[str, str]) -> None:
    """Apply every `WATCHER_X__Y` variable, lists in the order of their indexes."""
    variables = [name for name in environ if name.startswith(PREFIX) and "__" in name.removeprefix(PREFIX)]
    for variable in sorted(variables, key=lambda name: [part.zfill(6) for part in name.split("__")]):
        what = encoding_mistake(environ[variable]) or _set(raw_config, variable, environ[variable])
        if what is not None:
            raw_config.add_mistake(_key_path(variable), what, SourceLine(variable=variable))


def _key_path(variable: str) -> KeyPath:
    return tuple(int(part) if _INDEX.fullmatch(part) else part for part in variable.removeprefix(PREFIX).lower().split("__"))


def _set(raw_config: RawConfig, variable: str, text: str) -> str | None:
    """Set one value, with the sections and lists that lead to it. Returns what is wrong, or None."""
    path = _key_path(variable)
    spelled = variable.removeprefix(PREFIX).split("__")
    origin = SourceLine(variable=variable)
    at: KeyPath = ()
    parent: Any = raw_config.values
    for depth, part in enumerate(path):
        if isinstance(parent, list):
            if not isinstance(part, int) or part > len(parent):
                return f"expected an index from 0 to {len(parent)} ({len(parent)} adds an entry), as in {PREFIX}SINKS__0__PATH"
            if part == len(parent):
                parent.append(None)
        elif isinstance(parent, dict):
            part = _key_in(parent, at, str(part), spelled[depth])
            parent.setdefault(part, None)
        else:
            return f"{dotted(path[:depth])} holds a single value and has no keys; rename or remove this variable"
        at = (*at, part)
        if depth == len(path) - 1:
            parent[part] = plain_value(text)
            raw_config.origins[at] = origin
            raw_config.environment_texts[at] = text
        elif parent[part] is None:
            parent[part] = [] if isinstance(path[depth + 1], int) else {}
            raw_config.origins[at] = origin
        parent = parent[part]
    return None


def _key_in(parent: Mapping[str, Any], at: KeyPath, key: str, spelled: str) -> str:
    """Return the key of a mapping that a variable means: `jobname` for `JobName` where the mapping has that, and `JobName` as it is
    spelled where it can be any name."""
    if key in parent:
        return key
    same = [known for known in parent if known.lower() == key]
    if same:
        return same[0]
    return spelled if at[:1] == ("kinds",) and len(at) == 3 and at[2] in _NAMES else key
