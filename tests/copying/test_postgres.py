"""Copies into and out of PostgreSQL."""

from __future__ import annotations

import asyncio
import secrets
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.copying.places import PLACES, copied, owned, seen
from tests.copying.test_any_content import CALLS
from tests.copying.test_interruptions import Interruption, fill, interruptions
from tests.postgres import Database, PostgresServer
from watcher.errors import StoreRefused, StoreUnavailable
from watcher.model import Portion
from watcher.runtime import store_reader

pytestmark = pytest.mark.process


def shrink(patch: pytest.MonkeyPatch, portion: int) -> None:
    """Make the portions of a copy small."""
    for limit in ("WATCHES", "EVENTS", "DEAD_LETTERS", "OUTBOX"):
        patch.setattr(store_reader, limit, portion)


@given(calls=st.lists(CALLS, min_size=10, max_size=30), portion=st.integers(1, 5), kind=st.sampled_from(list(PLACES)))
@settings(max_examples=15, deadline=None)
def test_there_and_back(postgres_server: PostgresServer, calls: list[Any], portion: int, kind: str) -> None:
    """Any content copied into PostgreSQL is the same for every reader, and so is what is copied out of it."""

    async def live(directory: str) -> None:
        first, back = PLACES["sqlite"](Path(directory)), PLACES["memory with 4 shards"](Path(directory))
        between = Database(postgres_server, f"test_{secrets.token_hex(6)}")
        try:
            async with owned(first) as store:
                for work, arguments in calls:
                    await work(store, *arguments)
            await copied(first, between)
            assert await seen(between) == await seen(first)
            await copied(between, back)
            assert await seen(back) == await seen(first)
        finally:
            postgres_server.execute(f"DROP SCHEMA IF EXISTS {between.schema} CASCADE")

    with tempfile.TemporaryDirectory() as directory, pytest.MonkeyPatch.context() as patch:
        shrink(patch, portion)
        asyncio.run(live(directory))


@pytest.mark.parametrize(("before", "killed"), list(interruptions()))
async def test_an_interruption_at_any_call(
    postgres_server: PostgresServer, before: bool, killed: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For n = 1, 2, and so on: after an interruption at call n of the target, the same copy completes, and all is there one time."""
    shrink(monkeypatch, 3)
    source = PLACES["sqlite"](tmp_path)
    await fill(source)
    expected = await seen(source)
    nth = 1
    while True:
        target = Database(postgres_server, f"test_{secrets.token_hex(6)}")
        try:
            if not await Interruption(nth, before=before, killed=killed).run(source, target):
                break
            await copied(source, target)
            assert await seen(target) == expected, nth
        finally:
            postgres_server.execute(f"DROP SCHEMA IF EXISTS {target.schema} CASCADE")
        nth += 1
    assert nth > 10


async def test_a_schema_in_use_is_refused(database: Database, tmp_path: Path) -> None:
    """While a replica runs on it, a schema is neither a source nor a target, and the reason names the replica."""
    other = PLACES["sqlite"](tmp_path)
    async with owned(other):
        pass
    async with owned(database) as store:
        (replica,) = await store.replicas()
        for source, target in ((database, other), (other, database)):
            with pytest.raises(StoreRefused, match=f"1 replicas are running on it .{replica.name}"):
                await copied(source, target)
    await copied(other, database)


async def test_a_second_copy_into_the_same_schema_is_refused(database: Database) -> None:
    """Of two processes that copy into one schema at the same time, the one that comes late is refused, and adds nothing."""
    stores = [database.store(), database.store()]
    for store in stores:
        await store.open_target()
        assert await store.begin_copy("a", ["bus"]) == ""
    await stores[0].restore(Portion(states={"pace": "1"}), "one")
    with pytest.raises(StoreRefused, match="another process copies into this store"):
        await stores[1].restore(Portion(states={"pace": "2"}), "two")
    assert await stores[0].states() == {"pace": "1"}
    for store in stores:
        await store.close()


@pytest.mark.parametrize("lost", [1, 4, 8])
async def test_a_lost_server(database: Database, lost: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the server goes away in the middle, the copy fails, and the same copy completes it after the server is back."""
    shrink(monkeypatch, 3)
    source = PLACES["sqlite"](tmp_path)
    await fill(source)

    def wire(store: Any) -> None:
        restore, calls = store.restore, []

        async def cut_and_restore(portion: Portion, progress: str) -> None:
            calls.append(progress)
            if len(calls) == lost:
                database.server.stop()
            await restore(portion, progress)

        store.restore = cut_and_restore

    try:
        with pytest.raises(StoreUnavailable):
            await copied(source, database, wire)
    finally:
        database.server.start()
    await copied(source, database)
    assert await seen(database) == await seen(source)
