"""The replicas that share the store."""

from __future__ import annotations

from fastapi import APIRouter, Depends, Response

from watcher.api import examples
from watcher.api.access import Access
from watcher.api.backend import Backend
from watcher.api.problems import responses
from watcher.api.replies import json_reply
from watcher.queries.replicas import living_replicas


def replica_router(backend: Backend, access: Access) -> APIRouter:
    """Return the route for replicas."""
    routes = APIRouter(prefix="/v1/replicas", tags=["replicas"])

    @routes.get(
        "",
        dependencies=[Depends(access.require("read"))],
        summary="List replicas",
        response_class=Response,
        responses=examples.REPLICAS | responses(400, 401, 403, 503),
    )
    async def replicas() -> Response:
        """Lists the living replicas, the shards that each one owns, and what is wrong. A store with a single owner has no replicas."""
        return json_reply((await living_replicas(backend.store)).as_json())

    return routes
