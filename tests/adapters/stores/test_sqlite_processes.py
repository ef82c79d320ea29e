"""Other processes: kills, second owners, and operators beside the owner."""

# ruff: noqa: ASYNC240 - nothing else runs in the loop while a test looks at a file

from __future__ import annotations

import fcntl
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.adapters.stores.sqlite_ground import another_program, on, owned, refused
from tests.contracts.store_exam.facts import a_dead_letter, a_watch, commit, committed, forget, moved
from watcher.adapters.stores.sqlite import SqliteStore, owner
from watcher.errors import Fenced, StoreRefused
from watcher.ports import Requests

WRITE_UNTIL_KILLED = """
    async def live(store, owned, name):
        watch = (await store.admit([a_watch(name)]))[0]
        while True:
            change = moved(watch, f"S{watch.sequence}")
            assert not await store.commit([change], owned)
            watch = change.watch
            print(name, watch.sequence, flush=True)

    async def main():
        async with owned(sys.argv[1]) as store, anyio.create_task_group() as tasks:
            owned_now = await leases(store)
            for n in range(8):
                tasks.start_soon(live, store, owned_now, f"{sys.argv[0]}-{os.getpid()}-{n}")

    asyncio.run(main())
"""


@pytest.mark.process
async def test_killed_at_any_moment_everything_acknowledged_is_there(path: Path) -> None:
    """After SIGKILLs in the middle of writes, each commit that returned is there, and the events of each task are complete."""
    acknowledged: dict[str, int] = {}
    for kill in range(4):
        with another_program(WRITE_UNTIL_KILLED, path) as process:
            assert process.stdout is not None
            for _ in range(40 + 150 * kill):
                name, sequence = process.stdout.readline().split()
                acknowledged[name] = int(sequence)
            process.send_signal(signal.SIGKILL)
            for line in process.stdout:
                if line.endswith("\n"):
                    name, sequence = line.split()
                    acknowledged[name] = int(sequence)
    assert len(acknowledged) == 4 * 8
    async with owned(path) as store:
        for name, sequence in acknowledged.items():
            watch = await store.task(a_watch(name).key)
            assert watch is not None
            assert watch.sequence >= sequence
            assert [event.to for event in await store.task_events(watch.key)] == [f"S{n}" for n in range(watch.sequence)]


async def test_a_second_owner_is_refused(path: Path) -> None:
    """While a process owns the file, another open is refused with the path and the owner's process id."""
    async with owned(path):
        assert str(os.getpid()) in await refused(path)
    async with owned(path):
        pass


@pytest.mark.process
async def test_a_killed_owner_frees_the_file(path: Path) -> None:
    """The lock ends with its process, also after SIGKILL; until then the refusal names that process."""
    with another_program(WRITE_UNTIL_KILLED, path) as process:
        assert process.stdout is not None
        process.stdout.readline()
        assert str(process.pid) in await refused(path)
    async with owned(path):
        pass


async def test_attach_needs_a_store(tmp_path: Path, path: Path) -> None:
    """Attaching is refused where there is no file, in an empty file, and in memory, and creates no file."""
    (tmp_path / "empty.db").touch()
    for name in (str(path), str(tmp_path / "empty.db"), ":memory:"):
        store = on(name)
        with pytest.raises(StoreRefused, match="there is no store"):
            await store.attach()
        await store.close()
    assert not path.exists()


OPERATE = """
    async def main():
        store = on(sys.argv[1])
        await store.attach()
        print(await forget(store, a_watch("t1")), await store.retry(["poison"]), flush=True)
        await store.close()

    asyncio.run(main())
"""


@pytest.mark.process
async def test_another_process_erases_and_requests_retries_while_the_owner_writes(path: Path) -> None:
    """Requests of an operator's process reach the owner, whose commits continue meanwhile."""
    async with owned(path) as store:
        mine = await committed(store, "t1")
        await store.add_dead_letters([a_dead_letter("poison")])
        with another_program(OPERATE, path) as process:
            watch = (await store.admit([a_watch("t2")]))[0]
            while process.poll() is None:
                change = moved(watch, "IN_PROGRESS")
                assert not await commit(store, change)
                watch = change.watch
            assert process.communicate()[0].split() == ["1", "1"]
        requests = await store.requests()
        assert list(requests.forgotten) == [mine.key]
        assert [found.id for found in requests.retries] == ["poison"]
        assert list(await commit(store, moved(mine))) == [mine.key]
        assert len(await store.task_events(watch.key)) == watch.sequence


async def test_an_erasure_during_the_clean_up_of_an_earlier_one_is_reported(path: Path) -> None:
    """An erasure that comes while the owner removes the record of one that it has read reaches the owner with its next question."""
    async with owned(path) as store, attached(path) as operator:
        first, second = await committed(store, "t1"), await committed(store, "t2")
        await forget(operator, first)
        assert list((await store.requests()).forgotten) == [first.key]
        write = store._file.write

        async def write_late(*args: Any, **options: Any) -> Any:
            await forget(operator, second)
            return await write(*args, **options)

        store._file.write = write_late  # type: ignore[method-assign]
        assert list((await store.requests()).forgotten) == []
        store._file.write = write  # type: ignore[method-assign]
        assert list((await store.requests()).forgotten) == [second.key]


@asynccontextmanager
async def attached(path: Path) -> AsyncIterator[SqliteStore]:
    """The store of an operator's command."""
    store = on(path)
    try:
        await store.attach()
        yield store
    finally:
        await store.close()


async def test_erasures_from_before_the_open_are_not_reported(path: Path) -> None:
    """An erasure while no watcher runs is not reported to the next owner, which loads everything later."""
    async with owned(path) as store:
        watch = await committed(store)
    operator = on(path)
    await operator.attach()
    await forget(operator, watch)
    await operator.close()
    async with owned(path) as store:
        assert await store.requests() == Requests([], [])


class Forgetful(set[object]):
    """A set that stays empty."""

    def add(self, item: object) -> None: ...


async def test_a_second_owner_fences_the_first(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where locks do nothing, a second owner can open the file: the first one can write nothing more, and does not take it back."""
    monkeypatch.setattr(fcntl, "flock", lambda file, operation: None)
    monkeypatch.setattr(owner, "_owned", Forgetful())
    async with owned(path) as first:
        watch = (await first.admit([a_watch()]))[0]
        leases = {lease.shard: lease for lease in (await first.claim()).leases}
        async with owned(path) as second:
            for _ in range(2):
                with pytest.raises(Fenced):
                    await first.commit([moved(watch)], leases)
                with pytest.raises(Fenced):
                    await first.settle("bus", [], [a_dead_letter()], leases)
                assert list((await first.claim()).leases) == []
                await first.release(list(leases.values()))
                await second.claim()
            assert not await commit(second, moved(watch))
