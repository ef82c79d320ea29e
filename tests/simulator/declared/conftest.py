from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import pytest

from tests.process import HANG_S
from watcher.adapters.aws.probe import AwsProbe
from watcher.adapters.aws.session import AwsClients
from watcher.kinds.catalog import Catalog, builtin_catalog
from watcher.simulator import Simulator

Connect = Callable[..., AbstractAsyncContextManager[AwsProbe]]


@pytest.fixture
def probe_of(monkeypatch: pytest.MonkeyPatch) -> Connect:
    """The probe of the watcher, with the real SDK, in the environment that a simulator prints."""

    @asynccontextmanager
    async def connect(sim: Simulator, catalog: Catalog | None = None) -> AsyncIterator[AwsProbe]:
        catalog = catalog or builtin_catalog()
        for name, value in sim.environment.items():
            monkeypatch.setenv(name, value)
        clients = AwsClients(call_deadline=HANG_S, catalog=catalog)
        try:
            yield AwsProbe(clients, catalog, call_deadline=HANG_S, clock=time.time)
        finally:
            await clients.close()

    return connect
