"""The kinds and the targets that a message to this watcher can name."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Depends, Response

from watcher.api import examples
from watcher.api.access import Access
from watcher.api.backend import Backend
from watcher.api.problems import responses
from watcher.api.replies import json_reply
from watcher.kinds.summary import kind_summary


def kind_router(backend: Backend, access: Access) -> APIRouter:
    """Return the route for kinds and targets."""
    routes = APIRouter(prefix="/v1/kinds", tags=["kinds"])

    @routes.get(
        "",
        dependencies=[Depends(access.require("read"))],
        summary="List kinds and targets",
        response_class=Response,
        responses=examples.KINDS | responses(400, 401, 403),
    )
    async def kinds() -> Response:
        """Lists what a message to this watcher can name. With the declarations of its own kinds, a client can check its messages."""
        return json_reply(_known(backend))

    return routes


def _known(backend: Backend) -> dict[str, Any]:
    """The kinds with the declarations of those of the configuration, and where the tasks of each target are. It has no role."""
    declared = {form.name: form.model_dump(mode="json", exclude_unset=True) for form in backend.own_kinds}
    kinds = [{**kind_summary(kind), "declaration": declared.get(kind.name)} for kind in backend.catalog]
    targets = [{"name": name, "region": scope.region, "account": scope.account} for name, scope in backend.scopes.items()]
    return {"kinds": kinds, "targets": targets}
