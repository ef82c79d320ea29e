"""Reads the body of a request: JSON of a limited size."""

from __future__ import annotations

from typing import TypeVar

from fastapi import Request
from pydantic import BaseModel, ValidationError

from watcher.api.problems import Problem

MAX_BODY = 1024 * 1024
"""The maximum size of a body in bytes, the same as that of an SQS message."""

T = TypeVar("T", bound=BaseModel)


async def read_json_body(request: Request) -> bytes:
    """Return the body. Raises Problem: 413, 415."""
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != "application/json" and not media_type.endswith("+json"):
        raise Problem(415, "Send JSON, with Content-Type: application/json.")
    body = bytearray()
    async for piece in request.stream():
        body += piece
        if len(body) > MAX_BODY:
            raise Problem(413, f"The body is larger than {MAX_BODY} bytes; split it.", {"Connection": "close"})
    return bytes(body)


async def read_model(request: Request, model: type[T]) -> T:
    """Return the body as this model. Raises Problem: 400, 413, 415."""
    try:
        return model.model_validate_json(await read_json_body(request))
    except ValidationError as error:
        mistakes = "; ".join(f"{'.'.join(map(str, each['loc'])) or 'body'}: {each['msg']}" for each in error.errors())
        raise Problem(400, f"The body is invalid: {mistakes}.") from None
