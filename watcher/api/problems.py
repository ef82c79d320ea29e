"""Errors of the HTTP API as problem documents (RFC 9457). They describe the client's mistake and contain no internals of the watcher."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus

from fastapi import FastAPI, Request, Response
from pydantic import BaseModel
from starlette.exceptions import HTTPException

MEDIA_TYPE = "application/problem+json"
METHODS = "GET, HEAD"
"""What every path supports."""
PATHS = "/healthz, /readyz, /metrics, /openapi.json"


class ProblemDocument(BaseModel):
    """A problem document."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str


def install_error_handlers(app: FastAPI) -> None:
    """Make `app` answer every error with a problem document."""
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(Exception, _unexpected_error)


def problem_response(status: int, detail: str, headers: Mapping[str, str] | None = None) -> Response:
    """Return a response with a problem document."""
    body = ProblemDocument(title=HTTPStatus(status).phrase, status=status, detail=detail).model_dump_json()
    return Response(body, status, headers, MEDIA_TYPE)


async def _http_error(_request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 500
    headers = error.headers if isinstance(error, HTTPException) else None
    if status == 405:
        headers = {**(headers or {}), "Allow": METHODS}
    details = {404: f"This path does not exist. Use one of {PATHS}.", 405: f"This path does not support this method. Use {METHODS}."}
    return problem_response(status, details.get(status, HTTPStatus(status).description), headers)


async def _unexpected_error(_request: Request, _error: Exception) -> Response:
    return problem_response(500, "The watcher has a bug. Its log has the details.")
