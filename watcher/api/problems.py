"""Errors of the HTTP API as problem documents (RFC 9457). They describe the client's mistake and contain no internals of the watcher."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from http import HTTPStatus
from typing import Any

import structlog
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict
from starlette.exceptions import HTTPException
from starlette.routing import BaseRoute, Match, Route

from watcher.errors import StoreError

log = structlog.get_logger("watcher.api")

MEDIA_TYPE = "application/problem+json"
RETRY_AFTER_S = 5
"""The `Retry-After` of a reply with status 503, in seconds."""


_HEADERS: Mapping[int, Mapping[str, Any]] = {
    401: {"headers": {"WWW-Authenticate": {"description": "How to authenticate: Bearer.", "schema": {"type": "string"}}}},
    503: {"headers": {"Retry-After": {"description": "Try again after this many seconds.", "schema": {"type": "integer"}}}},
}


class ProblemDocument(BaseModel):
    """A problem document."""

    model_config = ConfigDict(extra="allow")

    type: str = "about:blank"
    title: str
    status: int
    detail: str


class Problem(Exception):
    """A request that cannot be carried out. `members` are added to the document."""

    def __init__(self, status: int, detail: str, headers: Mapping[str, str] | None = None, **members: Any) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.headers = headers
        self.members = members


def unavailable(detail: str) -> Problem:
    """Return a problem with status 503, for a temporary cause: the client should try again."""
    return Problem(503, detail, {"Retry-After": str(RETRY_AFTER_S)})


def responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Document these statuses as problem documents."""
    content = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/ProblemDocument"}}}
    return {status: {"description": HTTPStatus(status).phrase, "content": content, **_HEADERS.get(status, {})} for status in statuses}


def install_error_handlers(app: FastAPI, routes: Sequence[BaseRoute]) -> None:
    """Make `app`, which has these routes, reply to every error with a problem document."""

    async def http_error(request: Request, error: Exception) -> Response:
        status = error.status_code if isinstance(error, HTTPException) else 500
        headers = dict(error.headers or {}) if isinstance(error, HTTPException) else {}
        if status == 404:
            return problem_response(404, "This path does not exist. /openapi.json has all paths.", headers)
        if status == 405:
            methods = ", ".join(sorted(_methods(routes, request.scope)))
            return problem_response(405, f"This path does not support this method. Use {methods}.", {**headers, "Allow": methods})
        return problem_response(status, HTTPStatus(status).description, headers)

    app.add_exception_handler(HTTPException, http_error)
    app.add_exception_handler(RequestValidationError, _invalid_parameter)
    app.add_exception_handler(Problem, _problem)
    app.add_exception_handler(StoreError, _store_error)
    app.add_exception_handler(Exception, _unexpected_error)


def problem_response(status: int, detail: str, headers: Mapping[str, str] | None = None, **members: Any) -> Response:
    """Return a response with a problem document."""
    body = ProblemDocument(title=HTTPStatus(status).phrase, status=status, detail=detail, **members).model_dump_json()
    return Response(body, status, headers, MEDIA_TYPE)


async def _invalid_parameter(_request: Request, error: Exception) -> Response:
    mistakes: Sequence[Any] = error.errors() if isinstance(error, RequestValidationError) else ()
    detail = "; ".join(f"{mistake['loc'][-1]}: {mistake['msg']}" for mistake in mistakes)
    return problem_response(400, f"A parameter is invalid: {detail}.")


async def _problem(_request: Request, error: Exception) -> Response:
    if not isinstance(error, Problem):
        raise TypeError
    return problem_response(error.status, error.detail, error.headers, **error.members)


async def _store_error(_request: Request, error: Exception) -> Response:
    log.warning("api_store_error", reason=str(error))
    return problem_response(503, "The store cannot be reached now; /readyz has the reason.", {"Retry-After": str(RETRY_AFTER_S)})


async def _unexpected_error(_request: Request, _error: Exception) -> Response:
    return problem_response(500, "The watcher has a bug. Its log has the details.")


def _methods(routes: Iterable[BaseRoute], scope: Mapping[str, Any]) -> set[str]:
    """The methods of all routes with this path."""
    found: set[str] = set()
    for route in routes:
        if isinstance(route, Route) and route.methods and route.matches(dict(scope))[0] is not Match.NONE:
            found |= route.methods
    return found
