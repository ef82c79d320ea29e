"""Errors as problem documents (RFC 9457). They say what the client did, never what went on inside."""

from __future__ import annotations

from http import HTTPStatus

from fastapi import FastAPI, Request, Response
from pydantic import BaseModel
from starlette.exceptions import HTTPException

MEDIA_TYPE = "application/problem+json"
PATHS = "/healthz, /readyz, /metrics, /openapi.json"


class Problem(BaseModel):
    """A problem document."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str


def install(app: FastAPI) -> None:
    """Let every error of `app` leave as a problem document."""
    app.add_exception_handler(HTTPException, _refused)
    app.add_exception_handler(Exception, _failed)


async def _refused(request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 500
    headers = error.headers if isinstance(error, HTTPException) else None
    details = {404: f"There is nothing here. There is {PATHS}.", 405: "This path does not take this method."}
    return problem(status, details.get(status, HTTPStatus(status).description), headers)


async def _failed(request: Request, error: Exception) -> Response:
    return problem(500, "A bug of the watcher. Its log says more.")


def problem(status: int, detail: str, headers: object = None) -> Response:
    """A response that holds a problem document. `headers` is a mapping or None."""
    body = Problem(title=HTTPStatus(status).phrase, status=status, detail=detail).model_dump_json()
    return Response(body, status, dict(headers) if isinstance(headers, dict) else None, MEDIA_TYPE)
