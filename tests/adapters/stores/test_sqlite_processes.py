"""Other processes: kills, second owners, and operators beside the owner."""

# ruff: noqa: ASYNC240 - nothing else runs in the loop while a test looks at a file

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from tests.adapters.stores.sqlite_ground import another_program, on, owned, refused
from tests.contracts.store_exam import a_letter, a_watch, moved, told
from watcher.errors import StoreRefused

WRITE_UNTIL_KILLED = """
    async def live(store, name):
        watch = (await store.admit([a_watch(name)]))[0]
        while True:
            change = moved(watch, f"S{watch.sequence}")
            assert not await store.commit([change])
            watch = change.watch
            print(name, watch.sequence, flush=True)

    async def main():
        async with owned(sys.argv[1]) as store, anyio.create_task_group() as tasks:
            for n in range(8):
                tasks.start_soon(live, store, f"{sys.argv[0]}-{os.getpid()}-{n}")

    asyncio.run(main())
"""


@pytest.mark.process
async def test_killed_at_any_moment_everything_acknowledged_is_there(path: Path) -> None:
    """SIGKILL in the middle of writing, several times over one file: each commit that returned is there, each history is whole."""
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
            watch = await store.find(a_watch(name).key)
            assert watch is not None
            assert watch.sequence >= sequence
            assert [event.to for event in await store.history(watch.key)] == [f"S{n}" for n in range(watch.sequence)]


async def test_a_second_owner_is_refused(path: Path) -> None:
    """While one owns the file, a second open is refused with the path and the owner's process id; afterwards it may."""
    async with owned(path):
        assert str(os.getpid()) in await refused(path)
    async with owned(path):
        pass


@pytest.mark.process
async def test_a_killed_owner_owns_nothing(path: Path) -> None:
    """The lock ends with its process, however it ended; until then the refusal names that process."""
    with another_program(WRITE_UNTIL_KILLED, path) as process:
        assert process.stdout is not None
        process.stdout.readline()
        assert str(process.pid) in await refused(path)
    async with owned(path):
        pass


async def test_attach_needs_a_store(tmp_path: Path, path: Path) -> None:
    """There is nothing to attach to without a file, in an empty file, or in memory; none is made by trying."""
    (tmp_path / "empty.db").touch()
    for name in (str(path), str(tmp_path / "empty.db"), ":memory:"):
        ledger = on(name)
        with pytest.raises(StoreRefused, match="there is no store"):
            await ledger.attach()
        await ledger.close()
    assert not path.exists()


OPERATE = """
    async def main():
        ledger = on(sys.argv[1])
        await ledger.attach()
        print(await ledger.forget(key=a_watch("t1").key), await ledger.retry(["poison"]), flush=True)
        await ledger.close()

    asyncio.run(main())
"""


@pytest.mark.process
async def test_another_process_forgets_and_retries_while_the_owner_writes(path: Path) -> None:
    """An operator's process beside the owner erases and asks; the owner is told, and its own commits go on meanwhile."""
    async with owned(path) as store:
        mine = await told(store, "t1")
        await store.add_dead_letters([a_letter("poison")])
        with another_program(OPERATE, path) as process:
            watch = (await store.admit([a_watch("t2")]))[0]
            while process.poll() is None:
                change = moved(watch, "IN_PROGRESS")
                assert not await store.commit([change])
                watch = change.watch
            assert process.communicate()[0].split() == ["1", "1"]
        keys, letters = await store.requests()
        assert list(keys) == [mine.key]
        assert [letter.id for letter in letters] == ["poison"]
        assert list(await store.commit([moved(mine)])) == [mine.key]
        assert len(await store.history(watch.key)) == watch.sequence


async def test_notices_of_an_earlier_life_are_dropped(path: Path) -> None:
    """What was forgotten while nobody ran is no news to an owner who loads everything."""
    async with owned(path) as store:
        watch = await told(store)
    ledger = on(path)
    await ledger.attach()
    await ledger.forget(key=watch.key)
    await ledger.close()
    async with owned(path) as store:
        assert await store.requests() == ([], [])
