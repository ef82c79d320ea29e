"""JSON replies. None of them may be cached: they show the present state."""

from __future__ import annotations

import json
from typing import Any

from fastapi import Response

NO_STORE = {"Cache-Control": "no-store"}


def json_reply(content: Any, status: int = 200) -> Response:
    """Return a reply with this content."""
    return Response(json.dumps(content), status, NO_STORE, "application/json")
