"""Builds the FastAPI application: routes, problem documents, and the OpenAPI document. No page loads scripts from other hosts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from fastapi import APIRouter, FastAPI, Response
from fastapi.routing import APIRoute

from watcher import __version__
from watcher.api.problems import ProblemDocument, install_error_handlers

DESCRIPTION = """Tasks and their events. Every reply with an error is a problem document (RFC 9457).

Requests to `/v1` need a token of `api.tokens`. While no token is configured, requests from the same machine need none. Delivery is
at least once, in order for each task, with stable ids."""


COMPONENTS = "#/components/schemas/"
"""Where references to the schemas of the OpenAPI document start."""


def build_api(routers: Sequence[APIRouter], schemas: Mapping[str, Any] = MappingProxyType({})) -> FastAPI:
    """Return the application with these routes. `schemas` are added to those of the OpenAPI document, by name."""
    api = FastAPI(
        title="speaker-search-watcher",
        version=__version__,
        description=DESCRIPTION,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    for router in routers:
        _answer_head(router)
        api.include_router(router)
    install_error_handlers(api, [*api.routes, *(route for router in routers for route in router.routes)])
    api.openapi = lambda: _document(api, routers, schemas)  # type: ignore[method-assign]  # the documented way to extend the document
    return api


def _answer_head(router: APIRouter) -> None:
    """Add HEAD to each route with GET, as HTTP requires."""
    for route in [each for each in router.routes if isinstance(each, APIRoute) and "GET" in (each.methods or ())]:
        router.add_api_route(
            route.path.removeprefix(router.prefix),
            route.endpoint,
            methods=["HEAD"],
            dependencies=route.dependencies,
            response_class=Response,
            include_in_schema=False,
        )


def _document(api: FastAPI, routers: Sequence[APIRouter], more: Mapping[str, Any]) -> dict[str, Any]:
    """Return the OpenAPI document, with the token scheme, and with problem documents in place of FastAPI's own validation errors."""
    if api.openapi_schema is not None:
        return api.openapi_schema
    document = FastAPI.openapi(api)
    components = document.setdefault("components", {})
    schemas = components.setdefault("schemas", {})
    schemas |= {"ProblemDocument": ProblemDocument.model_json_schema(), **more}
    schemas.pop("HTTPValidationError", None)
    schemas.pop("ValidationError", None)
    components["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer", "description": "A token of api.tokens."}}
    for path, operations in document["paths"].items():
        for operation in operations.values():
            reply = operation["responses"].get("422", {})
            if "HTTPValidationError" in str(reply):
                del operation["responses"]["422"]
            if path.startswith("/v1/"):
                operation["security"] = [{"token": []}, {}]
    _restore_nulls(document, [route for router in routers for route in router.routes if isinstance(route, APIRoute)])
    return document


def _restore_nulls(document: Mapping[str, Any], routes: Sequence[APIRoute]) -> None:
    """Put the nulls back into the examples, where they have a meaning. FastAPI leaves out every null."""
    for route in [each for each in routes if each.include_in_schema]:
        for method in route.methods or ():
            replies = document["paths"][route.path_format][method.lower()]["responses"]
            for status, reply in route.responses.items():
                for media_type, content in reply.get("content", {}).items():
                    replies[str(status)]["content"][media_type].update(content)
