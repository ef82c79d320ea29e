"""The writer: groups, failures of one caller and of the disk, cancellation."""

from __future__ import annotations

import contextlib
import sqlite3
import struct
from pathlib import Path

import anyio
import pytest

from tests.adapters.stores.sqlite_ground import an_error, another_program, owned
from tests.contracts.store_exam import a_watch, everything, moved, told
from tests.process import HANG_S
from watcher.adapters.stores.sqlite import SqliteStore
from watcher.adapters.stores.sqlite.failures import named
from watcher.adapters.stores.sqlite.schema import connect
from watcher.adapters.stores.sqlite.writer import WriterThread
from watcher.errors import StoreRefused, StoreUnavailable
from watcher.model import Watch


def transactions(path: Path) -> int:
    """How many commits stand in the log: frames that give the size of the database after a commit."""
    log = path.with_name(path.name + "-wal").read_bytes()
    page = struct.unpack(">I", log[8:12])[0]
    return sum(1 for at in range(32, len(log), 24 + page) if struct.unpack(">I", log[at + 4 : at + 8])[0])


async def together(store: SqliteStore, path: Path, watches: list[Watch]) -> dict[str, BaseException]:
    """Commit a change of each watch at once, while another process holds the lock, so that all of them queue. Returns who failed."""
    failed: dict[str, BaseException] = {}

    async def one(watch: Watch) -> None:
        try:
            await store.commit([moved(watch)])
        except (UnicodeEncodeError, StoreUnavailable) as error:
            failed[watch.id] = error

    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        async with anyio.create_task_group() as tasks:
            for watch in watches:
                tasks.start_soon(one, watch)
            await anyio.wait_all_tasks_blocked()
            other.execute("ROLLBACK")
    return failed


async def test_what_is_queued_is_one_transaction(path: Path) -> None:
    """A hundred callers who wait at once are served by two transactions: the first that came, and all the others."""
    async with owned(path) as store:
        watches = list(await store.admit([a_watch(f"t{n}") for n in range(100)]))
        before = transactions(path)
        assert await together(store, path, watches) == {}
        assert 1 <= transactions(path) - before <= 2
        assert len(await everything(store)) == 100


async def test_one_callers_failure_is_its_own(path: Path) -> None:
    """A call that cannot be written fails alone, wholly; the mates of its group are written."""
    async with owned(path) as store:
        watches = list(await store.admit([a_watch(f"t{n}") for n in range(20)]))
        broken = [watch._replace(context="\ud800") if watch is watches[13] else watch for watch in watches]
        failed = await together(store, path, broken)
        assert list(failed) == [watches[13].id]
        assert len(await everything(store)) == 19
        assert await store.find(watches[13].key) == watches[13]
        with pytest.raises(UnicodeEncodeError):
            await store.commit([moved(watches[13]), moved(broken[13])])
        assert await store.find(watches[13].key) == watches[13]


async def test_cancelled_in_the_queue(path: Path) -> None:
    """Callers cancelled while the group waits for the disk leave each call whole, and the store usable."""
    async with owned(path) as store:
        watches = list(await store.admit([a_watch(f"t{n}") for n in range(10)]))
        with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            async with anyio.create_task_group() as tasks:
                for watch in watches:
                    tasks.start_soon(store.commit, [moved(watch)])
                await anyio.wait_all_tasks_blocked()
                tasks.cancel_scope.cancel()
            other.execute("ROLLBACK")
        for watch in watches:
            assert not await store.commit([moved(watch)])
            assert len(await store.history(watch.key)) == 1


FILL = """
    import resource

    async def main():
        async with owned(sys.argv[1]) as store:
            watch = (await store.admit([a_watch()]))[0]
            first = moved(watch)
            await store.commit([first])
            resource.setrlimit(resource.RLIMIT_FSIZE, (64 * 1024, resource.RLIM_INFINITY))
            second = moved(first.watch, "SUCCEEDED")
            big = replace(second, events=(replace(second.events[0], body=b"x" * 200_000),))
            try:
                await store.commit([big])
            except StoreUnavailable as error:
                print("unavailable" if sys.argv[1] in str(error) else error)
            print(await store.find(watch.key) == first.watch, len(await everything(store)))
            resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
            print(await store.commit([big]), len(await everything(store)))

    asyncio.run(main())
"""


@pytest.mark.process
async def test_a_full_disk_passes(path: Path) -> None:
    """When the disk takes no more, the commit fails whole as unavailable, reading goes on, and with room again it succeeds."""
    with another_program(FILL, path) as process:
        assert process.communicate()[0].splitlines() == ["unavailable", "True 1", "[] 2"]


@pytest.mark.parametrize(
    ("code", "meaning"),
    [
        ("SQLITE_FULL", StoreUnavailable),
        ("SQLITE_BUSY", StoreUnavailable),
        ("SQLITE_BUSY_SNAPSHOT", StoreUnavailable),
        ("SQLITE_IOERR_WRITE", StoreUnavailable),
        ("SQLITE_IOERR_FSYNC", StoreRefused),
        ("SQLITE_IOERR_DIR_FSYNC", StoreRefused),
        ("SQLITE_IOERR_READ", StoreRefused),
        ("SQLITE_IOERR_TRUNCATE", StoreRefused),
        ("SQLITE_CORRUPT", StoreRefused),
        ("SQLITE_CORRUPT_INDEX", StoreRefused),
        ("SQLITE_NOTADB", StoreRefused),
        ("SQLITE_READONLY_DBMOVED", StoreRefused),
        ("SQLITE_CONSTRAINT_NOTNULL", type(None)),
    ],
)
def test_what_an_error_means(code: str, meaning: type) -> None:
    """What passes is unavailable, what leaves the disk in doubt is refused, and the caller's own mistake is neither."""
    assert type(named(an_error(code), "w.db")) is meaning


async def test_after_a_failed_fsync_nothing_is_written_any_more(path: Path) -> None:
    """An error that leaves the disk in doubt refuses this and every later write, although the disk would take it."""
    async with owned(path) as store:
        watch = await told(store)

    def work(db: sqlite3.Connection) -> None:
        db.execute("DELETE FROM watches")
        raise an_error("SQLITE_IOERR_FSYNC")

    with contextlib.closing(connect(str(path))) as db:
        writer = WriterThread(db, str(path))
        with pytest.raises(StoreRefused, match="disk failed"):
            await writer.do(work)
        with pytest.raises(StoreRefused, match="disk failed"):
            await writer.do(lambda db: db.execute("DELETE FROM watches"))
        await writer.stop()
    async with owned(path) as store:
        assert await store.find(watch.key) == watch


async def test_a_writer_that_breaks_says_so(path: Path) -> None:
    """Whatever nobody foresaw reaches the caller, and every later one, instead of leaving them to wait for ever."""
    async with owned(path):
        pass
    writer = WriterThread(connect(str(path)), str(path))
    with anyio.fail_after(HANG_S):
        with pytest.raises(StoreRefused, match="the writer broke"):
            await writer.do(lambda db: db.close())
        with pytest.raises(StoreRefused, match="the writer broke"):
            await writer.do(lambda db: db.execute("SELECT 1"))
        await writer.stop()


async def test_calls_after_close_are_refused(path: Path) -> None:
    """A closed store answers at once that it is closed."""
    async with owned(path) as store:
        pass
    with pytest.raises(StoreRefused, match="closed"):
        await store.commit([])
    with pytest.raises(StoreRefused, match="closed"):
        await store.find("speaker-search/vc/t")
