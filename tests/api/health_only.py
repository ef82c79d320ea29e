"""A server with health, readiness, and metrics alone: what concerns connections does not depend on the routes."""

from __future__ import annotations

from watcher.api.application import build_api
from watcher.api.health_routes import health_router
from watcher.api.health_view import HealthView
from watcher.api.server import HttpServer
from watcher.api.settings import ApiSettings
from watcher.observe.metrics import Metrics


def health_server(view: HealthView, metrics: Metrics, listen: str = "127.0.0.1:0") -> HttpServer:
    return HttpServer(ApiSettings(listen=listen), build_api([health_router(view, metrics)]))
