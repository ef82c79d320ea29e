"""What schemathesis, in its own environment, must know about the watcher beyond the OpenAPI document."""

from __future__ import annotations

import json
import os
import zlib
from typing import Any

import schemathesis

KNOWN: dict[str, list[str]] = json.loads(os.environ["WATCHER_API_CHECK_KNOWN"])
"""By the name of a path parameter, values for which the watcher has something."""
LONGEST_WAIT_S = 0.05


@schemathesis.hook
def before_call(_context: Any, case: Any, _kwargs: Any) -> None:
    """Half of the paths name something that exists. A valid `wait` is shortened: a longer one costs time and finds nothing more."""
    for name, value in (case.path_parameters or {}).items():
        number = zlib.crc32(repr(value).encode())
        if name in KNOWN and number % 2:
            case.path_parameters[name] = KNOWN[name][number // 2 % len(KNOWN[name])]
    wait = (case.query or {}).get("wait")
    if isinstance(wait, int | float) and LONGEST_WAIT_S < wait <= 60:
        case.query["wait"] = LONGEST_WAIT_S
