"""Serves the page for operators at `/`, and its files. They are in the package, contain no data, and need no token.

The browser may not load anything from other hosts: see `HEADERS`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from importlib.resources import files

from fastapi import APIRouter, Request, Response

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:;"
        " base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",  # the browser revalidates each time, so an update is visible immediately
}
INDEX = "index.html"
TYPES = {".html": "text/html; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8"}
ICON = "icon.svg"


@dataclass(frozen=True, slots=True)
class PageFile:
    """One file of the page, with its headers."""

    path: str
    body: bytes
    media_type: str
    etag: str


def page_router() -> APIRouter:
    """Return the routes of the page: `/` and `/page/NAME` for each of its files. They are not a part of the OpenAPI document."""
    routes = APIRouter(include_in_schema=False)
    for each in page_files():
        routes.add_api_route(each.path, _endpoint(each), methods=["GET"], response_class=Response)
    return routes


def page_files() -> Iterator[PageFile]:
    """The files of the page, read from the package."""
    for entry in sorted((files("watcher.api.page") / "static").iterdir(), key=lambda entry: entry.name):
        suffix = entry.name[entry.name.rindex(".") :]
        body = entry.read_bytes()
        media_type = TYPES.get(suffix, "image/svg+xml")
        path = "/" if entry.name == INDEX else f"/page/{entry.name}"
        yield PageFile(path, body, media_type, f'"{hashlib.sha256(body).hexdigest()[:32]}"')


def _endpoint(file: PageFile) -> Callable[[Request], Awaitable[Response]]:
    headers = {**HEADERS, "ETag": file.etag}

    async def answer(request: Request) -> Response:
        known = {tag.strip().removeprefix("W/") for tag in request.headers.get("if-none-match", "").split(",")}
        if file.etag in known:
            return Response(status_code=304, headers=headers)
        return Response(file.body, headers=headers, media_type=file.media_type)

    return answer
