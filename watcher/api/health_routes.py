"""Liveness, readiness, and metrics, for probes and Prometheus. They need no token. The routes only render what the view returns."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from fastapi import APIRouter, Response
from pydantic import BaseModel, ConfigDict

from watcher.api import examples
from watcher.api.health_view import HealthView
from watcher.observe.metrics import CONTENT_TYPE, Metrics
from watcher.runtime.health import Condition

_NO_STORE = {"Cache-Control": "no-store"}


class Liveness(BaseModel):
    """Whether the process works (200) or must be restarted (503), and the measurement behind it."""

    model_config = ConfigDict(extra="allow")
    ok: bool


class ComponentCondition(BaseModel):
    """The condition of one component: the store, a source, a sink, a quota or a circuit."""

    model_config = ConfigDict(from_attributes=True)
    ok: bool
    reason: str
    since: datetime
    hint: str


class Readiness(BaseModel):
    """Whether all components work. `failing` lists those that do not; `components` has reason and hint of each one."""

    ok: bool
    failing: list[str]
    components: dict[str, ComponentCondition]


def health_router(view: HealthView, metrics: Metrics) -> APIRouter:
    """Return the routes for one running watcher."""
    routes = APIRouter(tags=["health"])

    @routes.get(
        "/healthz",
        response_model=Liveness,
        responses={200: examples.ALIVE, 503: {"model": Liveness, "description": "The process hangs: restart it.", **examples.NOT_ALIVE}},
        summary="Check whether the event loop runs",
    )
    async def healthz() -> Response:
        """For a liveness probe: 503 means that the process hangs. It never depends on AWS, the store, or a sink."""
        ok, measurement = view.alive()
        return _json(ok, Liveness.model_validate({**measurement, "ok": ok}))

    @routes.get(
        "/readyz",
        response_model=Readiness,
        responses={200: examples.READY, 503: {"model": Readiness, "description": "A component does not work.", **examples.NOT_READY}},
        summary="Check whether all components work",
    )
    async def readyz() -> Response:
        """For alerts and operators: each component with the reason, and a hint of what to do."""
        ok, conditions = view.ready()
        return _json(ok, _readiness(ok, conditions))

    @routes.get("/metrics", response_class=Response, responses={200: examples.METRICS}, summary="Get metrics for Prometheus")
    async def scrape() -> Response:
        """All metrics of this process; docs/operating.md lists them."""
        return Response(metrics.render(), headers={"Content-Type": CONTENT_TYPE, **_NO_STORE})

    return routes


def _readiness(ok: bool, conditions: Mapping[str, Condition]) -> Readiness:
    components = {name: ComponentCondition.model_validate(condition) for name, condition in conditions.items()}
    return Readiness(ok=ok, failing=[name for name, component in components.items() if not component.ok], components=components)


def _json(ok: bool, body: BaseModel) -> Response:
    return Response(body.model_dump_json(), 200 if ok else 503, _NO_STORE, "application/json")
