"""The writer thread: groups, mistakes of one caller, failures of the disk, cancellation."""

from __future__ import annotations

import contextlib
import sqlite3
import struct
import threading
from pathlib import Path

import anyio
import pytest

from tests.adapters.stores.sqlite_ground import an_error, another_program, owned
from tests.contracts.store_exam.facts import a_watch, commit, committed, leases, moved, unsettled
from tests.process import HANG_S
from watcher.adapters.stores.sqlite import SqliteStore, schema
from watcher.adapters.stores.sqlite.failures import store_error
from watcher.adapters.stores.sqlite.schema import connect
from watcher.adapters.stores.sqlite.writer import WriterThread
from watcher.errors import Fenced, StoreError, StoreRefused, StoreUnavailable
from watcher.model import Watch
from watcher.query import EventQuery, Selection


def transactions(path: Path) -> int:
    """How many commits are in the log: frames that give the size of the database after a commit."""
    log = path.with_name(path.name + "-wal").read_bytes()
    page = struct.unpack(">I", log[8:12])[0]
    return sum(1 for at in range(32, len(log), 24 + page) if struct.unpack(">I", log[at + 4 : at + 8])[0])


async def together(
    store: SqliteStore, path: Path, watches: list[Watch], *, without_lease: tuple[Watch, ...] = ()
) -> dict[str, BaseException]:
    """Commit a change of each watch at once, while another process holds the lock, so that all of them queue. Returns those that failed."""
    failed: dict[str, BaseException] = {}
    owned = await leases(store)

    async def one(watch: Watch) -> None:
        try:
            await store.commit([moved(watch)], {} if watch in without_lease else owned)
        except (UnicodeEncodeError, Fenced, StoreUnavailable) as error:
            failed[watch.id] = error

    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        async with anyio.create_task_group() as tasks:
            for watch in watches:
                tasks.start_soon(one, watch)
            await anyio.wait_all_tasks_blocked()
            other.execute("ROLLBACK")
    return failed


async def test_a_long_query_does_not_stop_the_writes_after_an_erasure(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While a read is under way, the log cannot be emptied after an erasure. The writes go on, and it is emptied after a later one."""
    monkeypatch.setattr(schema, "BUSY_S", 2 * HANG_S)  # a wait for the reader would be a hang
    async with owned(path) as store:
        await store.admit([a_watch("t1")])
        with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as reader, anyio.fail_after(HANG_S):
            reader.execute("BEGIN")
            reader.execute("SELECT count(*) FROM watches").fetchone()
            assert await store.forget(Selection(key=a_watch("t1").key)) == 1
            await store.admit([a_watch("t2")])
            reader.execute("ROLLBACK")
            await store.admit([a_watch("t3")])
            assert path.with_name(path.name + "-wal").stat().st_size == 0


async def test_a_long_query_delays_neither_reads_nor_writes(path: Path) -> None:
    """While a query for the API is under way, tasks are admitted and committed, and the outbox and the events for readers are read."""
    begun, over = threading.Event(), threading.Event()

    def long(db: sqlite3.Connection) -> None:
        db.execute("SELECT count(*) FROM watches").fetchone()
        begun.set()
        assert over.wait(HANG_S)

    async with owned(path) as store, anyio.create_task_group() as tasks:
        tasks.start_soon(store._file.query, long)
        assert await anyio.to_thread.run_sync(begun.wait, HANG_S)
        await committed(store)
        assert len(await unsettled(store)) == 1
        assert await store.task(a_watch().key) is not None
        assert len(await store.events(EventQuery())) == len(await store.positions()) == 1
        over.set()


async def test_a_long_query_does_not_delay_the_close(path: Path) -> None:
    """A query for the API that is under way, or waits for its turn, is broken off when the store is closed."""
    begun, failed = threading.Event(), []

    def long(db: sqlite3.Connection) -> None:
        begun.set()
        db.execute("WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < 1e12) SELECT count(*) FROM c").fetchone()

    async def query() -> None:
        try:
            await store._file.query(long)
        except StoreError as error:
            failed.append(error)

    async with owned(path) as store, anyio.create_task_group() as tasks:
        tasks.start_soon(query)
        assert await anyio.to_thread.run_sync(begun.wait, HANG_S)
        tasks.start_soon(query)
        await anyio.wait_all_tasks_blocked()
        await store.close()
    assert len(failed) == 2


async def test_queued_calls_are_one_transaction(path: Path) -> None:
    """A hundred calls at once need two transactions: one for the first call, and one for all others."""
    async with owned(path) as store:
        watches = list(await store.admit([a_watch(f"t{n}") for n in range(100)]))
        await store.claim()
        before = transactions(path)
        assert await together(store, path, watches) == {}
        assert 1 <= transactions(path) - before <= 2
        assert len(await unsettled(store)) == 100


async def test_the_mistake_of_one_call_fails_no_other(path: Path) -> None:
    """A call that cannot be written fails alone and as a whole; the others of its group are written."""
    async with owned(path) as store:
        watches = list(await store.admit([a_watch(f"t{n}") for n in range(20)]))
        broken = [watch._replace(context="\ud800") if watch is watches[13] else watch for watch in watches]
        failed = await together(store, path, broken)
        assert list(failed) == [watches[13].id]
        assert len(await unsettled(store)) == 19
        assert await store.task(watches[13].key) == watches[13]
        with pytest.raises(UnicodeEncodeError):
            await commit(store, moved(watches[13]), moved(broken[13]))
        assert await store.task(watches[13].key) == watches[13]


async def test_a_fenced_call_fails_no_other(path: Path) -> None:
    """A call without a valid lease fails alone with its shards; the others of its group are written."""
    async with owned(path) as store:
        watches = list(await store.admit([a_watch(f"t{n}") for n in range(20)]))
        failed = await together(store, path, watches, without_lease=(watches[7],))
        assert list(failed) == [watches[7].id]
        assert isinstance(error := failed[watches[7].id], Fenced)
        assert error.shards == {0}
        assert len(await unsettled(store)) == 19


async def test_cancelled_in_the_queue(path: Path) -> None:
    """Calls that are cancelled while their group waits are done as a whole or not at all, and the store stays usable."""
    async with owned(path) as store:
        watches = list(await store.admit([a_watch(f"t{n}") for n in range(10)]))
        owned_now = await leases(store)
        with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            async with anyio.create_task_group() as tasks:
                for watch in watches:
                    tasks.start_soon(store.commit, [moved(watch)], owned_now)
                await anyio.wait_all_tasks_blocked()
                tasks.cancel_scope.cancel()
            other.execute("ROLLBACK")
        for watch in watches:
            assert not await commit(store, moved(watch))
            assert len(await store.task_events(watch.key)) == 1


FILL = """
    import resource

    async def main():
        async with owned(sys.argv[1]) as store:
            watch = (await store.admit([a_watch()]))[0]
            first = moved(watch)
            await commit(store, first)
            lease = await leases(store)
            resource.setrlimit(resource.RLIMIT_FSIZE, (64 * 1024, resource.RLIM_INFINITY))
            second = moved(first.watch, "SUCCEEDED")
            big = replace(second, events=(replace(second.events[0], body=b"x" * 200_000),))
            try:
                await store.commit([big], lease)
            except StoreUnavailable as error:
                print("unavailable" if sys.argv[1] in str(error) else error)
            print(await store.task(watch.key) == first.watch, len(await unsettled(store)))
            resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
            print(await store.commit([big], lease), len(await unsettled(store)))

    asyncio.run(main())
"""


@pytest.mark.process
async def test_a_full_disk_is_temporary(path: Path) -> None:
    """On a full disk a commit fails as a whole with StoreUnavailable, reads work, and with space again the commit succeeds."""
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
    """A temporary error is StoreUnavailable, an unknown content of the disk is StoreRefused, a mistake of the caller is neither."""
    assert type(store_error(an_error(code), "w.db")) is meaning


async def test_after_a_failed_fsync_nothing_is_written_any_more(path: Path) -> None:
    """After an error that leaves the content of the disk unknown, this and every later write is refused, although the disk works again."""
    async with owned(path) as store:
        watch = await committed(store)

    def work(db: sqlite3.Connection) -> None:
        db.execute("DELETE FROM watches")
        raise an_error("SQLITE_IOERR_FSYNC")

    with contextlib.closing(connect(str(path))) as db:
        writer = WriterThread(db, str(path))
        with pytest.raises(StoreRefused, match="disk failed"):
            await writer.run(work)
        with pytest.raises(StoreRefused, match="disk failed"):
            await writer.run(lambda db: db.execute("DELETE FROM watches"))
        await writer.stop()
    async with owned(path) as store:
        assert await store.task(watch.key) == watch


async def test_an_unexpected_error_reaches_all_callers(path: Path) -> None:
    """An error that the writer does not expect reaches this and every later caller, instead of letting them wait forever."""
    async with owned(path):
        pass
    writer = WriterThread(connect(str(path)), str(path))
    with anyio.fail_after(HANG_S):
        with pytest.raises(StoreRefused, match="defect in the store"):
            await writer.run(lambda db: db.close())
        with pytest.raises(StoreRefused, match="defect in the store"):
            await writer.run(lambda db: db.execute("SELECT 1"))
        await writer.stop()


async def test_calls_after_close_are_refused(path: Path) -> None:
    """A closed store refuses calls and says that it is closed."""
    async with owned(path) as store:
        pass
    with pytest.raises(StoreRefused, match="closed"):
        await store.commit([], {})
    with pytest.raises(StoreRefused, match="closed"):
        await store.task("speaker-search/vc/t")
