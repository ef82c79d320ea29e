"""Memory and PostgreSQL: the same calls in any order have the same answers."""

from __future__ import annotations

import asyncio
import secrets
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.adapters.stores.test_stores_alike import CALLS, answer_alike
from tests.postgres import Database, PostgresServer
from watcher.adapters.stores.memory import MemoryStore, MemoryStoreSettings
from watcher.adapters.stores.postgres import PostgresStore

pytestmark = pytest.mark.process


@pytest.mark.parametrize("shards", [1, 4])
@given(calls=st.lists(CALLS, min_size=5, max_size=40))
@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
def test_postgres_answers_alike(postgres_server: PostgresServer, shards: int, calls: list[Any]) -> None:
    """Any sequence of calls has the same answers and leaves the same content as in memory."""
    database = Database(postgres_server, f"alike_{secrets.token_hex(6)}")

    async def live() -> None:
        store = PostgresStore(database.settings(shards=shards))
        try:
            await answer_alike(calls, [MemoryStore(MemoryStoreSettings(), shards=1), store])
        finally:
            await store.close()

    try:
        asyncio.run(live())
    finally:
        postgres_server.execute(f"DROP SCHEMA IF EXISTS {database.schema} CASCADE")
