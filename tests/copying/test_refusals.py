"""A store that a watcher uses is neither a source nor a target."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.contracts.store_exam.facts import a_watch, moved
from tests.copying.places import PLACES, SharedPlace, copied, owned
from watcher.errors import StoreRefused
from watcher.ports import PortableStore


@pytest.mark.parametrize("kind", ["shared memory", "sqlite"])
async def test_a_source_in_use_is_refused(kind: str, tmp_path: Path) -> None:
    """While a watcher runs on the source, a copy is refused, and the watcher keeps its leases."""
    source, target = PLACES[kind](tmp_path), PLACES["memory"](tmp_path)
    async with owned(source) as store:
        with pytest.raises(StoreRefused, match=f"owned by another watcher, process {os.getpid()}|1 replicas are running"):
            await copied(source, target)
        held = {lease.shard: lease for lease in (await store.claim()).leases}
        (watch,) = await store.admit([a_watch()])
        assert not await store.commit([moved(watch)], held)
    await copied(source, target)


@pytest.mark.parametrize("kind", ["shared memory", "sqlite"])
async def test_a_target_in_use_is_refused(kind: str, tmp_path: Path) -> None:
    """While a watcher runs on the target, also one without any task, a copy is refused."""
    source, target = PLACES["memory"](tmp_path), PLACES[kind](tmp_path)
    async with owned(source):
        pass
    async with owned(target):
        with pytest.raises(StoreRefused, match=r"owned by another watcher|1 replicas are running"):
            await copied(source, target)
    await copied(source, target)


async def test_no_watcher_starts_on_a_file_that_is_copied(tmp_path: Path) -> None:
    """The lock of the file is held while it is copied, under every name of the file, and released afterwards."""
    place = PLACES["sqlite"](tmp_path)
    async with owned(place):
        pass
    source = place.store()
    await source.attach_alone()
    os.link(tmp_path / "watcher.db", tmp_path / "other.db")
    (tmp_path / "links").mkdir()
    os.link(tmp_path / "watcher.db", tmp_path / "links" / "watcher.db")
    for other in (place, PLACES["sqlite"](tmp_path / "links")):
        with pytest.raises(StoreRefused, match="owned by another watcher"):
            async with owned(other):
                pass
    await source.close()
    async with owned(place):
        pass


async def test_a_file_that_does_not_exist_is_no_source(tmp_path: Path) -> None:
    """A source that is not there is refused, and not created."""
    with pytest.raises(StoreRefused, match="there is no store here"):
        await copied(PLACES["sqlite"](tmp_path), PLACES["memory"](tmp_path))
    assert os.listdir(tmp_path) == []


async def test_a_replica_that_starts_during_the_copy_is_found(tmp_path: Path) -> None:
    """A replica that starts on a shared source during the copy makes it fail: it may have changed what was read."""
    source, target = SharedPlace(4), PLACES["sqlite"](tmp_path)
    async with owned(source):
        pass
    late = source.store()

    def start_late(store: PortableStore) -> None:
        begin = store.begin_copy

        async def begin_copy(content: str, sinks: list[str]) -> str:
            await late.open(["bus", "log"])
            await late.claim()
            return await begin(content, sinks)

        store.begin_copy = begin_copy  # type: ignore[method-assign]

    with pytest.raises(StoreRefused, match="replicas have started on the source"):
        await copied(source, target, start_late)
    with pytest.raises(StoreRefused, match="unfinished copy"):
        async with owned(target):
            pass
