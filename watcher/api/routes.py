"""The paths of the HTTP API: health, readiness, metrics. Each renders what the view says; none decides or waits."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from fastapi import APIRouter, Response
from pydantic import BaseModel, ConfigDict

from watcher.api.health_view import HealthView
from watcher.observe.metrics import CONTENT_TYPE, Metrics
from watcher.runtime.health import Condition

_NOT_STORED = {"Cache-Control": "no-store"}


class Health(BaseModel):
    """Whether the process should be left alone (200) or restarted (503)."""

    model_config = ConfigDict(extra="allow")
    ok: bool


class Component(BaseModel):
    """One thing that must work: the store, a source, a sink, a circuit."""

    model_config = ConfigDict(from_attributes=True)
    ok: bool
    reason: str
    since: datetime
    hint: str


class Readiness(BaseModel):
    """Whether work gets done; `failing` names what does not, `components` says why and what to do."""

    ok: bool
    failing: list[str]
    components: dict[str, Component]


def router(view: HealthView, metrics: Metrics) -> APIRouter:
    """The routes over one running watcher."""
    routes = APIRouter()

    @routes.get("/healthz", response_model=Health, responses={503: {"model": Health}}, summary="Does the loop turn?")
    async def healthz() -> Response:
        ok, told = view.alive()
        return _json(ok, Health.model_validate({**told, "ok": ok}))

    @routes.get("/readyz", response_model=Readiness, responses={503: {"model": Readiness}}, summary="Does work get done?")
    async def readyz() -> Response:
        ok, components = view.ready()
        return _json(ok, _readiness(ok, components))

    @routes.get("/metrics", response_class=Response, responses={200: {"content": {"text/plain": {}}}}, summary="For Prometheus.")
    async def scrape() -> Response:
        return Response(metrics.render(), headers={"Content-Type": CONTENT_TYPE, **_NOT_STORED})

    return routes


def _readiness(ok: bool, components: Mapping[str, Condition]) -> Readiness:
    told = {name: Component.model_validate(component) for name, component in components.items()}
    return Readiness(ok=ok, failing=[name for name, component in told.items() if not component.ok], components=told)


def _json(ok: bool, body: BaseModel) -> Response:
    return Response(body.model_dump_json(), 200 if ok else 503, _NOT_STORED, "application/json")
