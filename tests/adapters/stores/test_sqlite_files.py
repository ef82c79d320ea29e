"""Files that are refused, files of other versions, and what remains in a file."""

# ruff: noqa: ASYNC240 - nothing else runs in the loop while a test looks at a file

from __future__ import annotations

import contextlib
import os
import sqlite3
from pathlib import Path

import pytest

from tests.adapters.stores.sqlite_ground import on, owned, refused
from tests.contracts.store_exam.facts import a_dead_letter, a_watch, all_dead_letters, commit, committed, forget, moved, settle, unsettled
from watcher.adapters.stores.sqlite import watch_rows
from watcher.adapters.stores.sqlite.schema import APPLICATION_ID, MIGRATIONS, VERSION_1, connect, create, prepare
from watcher.errors import StoreRefused


async def test_a_newer_file_is_refused(path: Path) -> None:
    """A file of a later version is refused with both versions, by `open` and `attach`, and is not changed."""
    async with owned(path):
        pass
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA user_version = 99")
    before = path.read_bytes()
    text = await refused(path)
    assert "99" in text
    assert str(len(MIGRATIONS)) in text
    with pytest.raises(StoreRefused, match="99"):
        await on(path).attach()
    assert path.read_bytes() == before


async def test_a_database_of_another_program_is_refused(path: Path) -> None:
    """Another program's database is refused and not changed."""
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.execute("CREATE TABLE theirs (x)")
    before = path.read_bytes()
    assert "another program" in await refused(path)
    assert path.read_bytes() == before


@pytest.mark.parametrize("application", [0, APPLICATION_ID, 0x1234])
@pytest.mark.parametrize("tables", [("watches", "events", "dead_letters", "sinks"), ("jobs",)])
async def test_tables_without_a_schema_version_are_refused(path: Path, application: int, tables: tuple[str, ...]) -> None:
    """A file with tables and user_version 0, as after a restore from a dump, is refused by `open` and `attach`, and not changed."""
    with contextlib.closing(sqlite3.connect(path)) as db:
        for table in tables:
            db.execute(f"CREATE TABLE {table} (x)")
        db.execute(f"PRAGMA application_id = {application}")
    before = path.read_bytes()
    text = await refused(path)
    assert ("user_version is 0" in text) == ("watches" in tables or application == APPLICATION_ID)
    assert ("dump" in text) == ("watches" in tables)
    operator = on(path)
    with pytest.raises(StoreRefused) as refusal:
        await operator.attach()
    await operator.close()
    assert str(refusal.value) == text
    assert path.read_bytes() == before


async def filled(path: Path) -> None:
    async with owned(path) as store:
        watches = await store.admit([a_watch(f"t{n}", context='{"pad":"' + "x" * 500 + '"}') for n in range(300)])
        await commit(store, *[moved(watch) for watch in watches])


async def test_a_file_that_is_no_database_is_refused(path: Path) -> None:
    """A text file under the store's name is refused and not changed."""
    path.write_text("sources:\n  - {type: lines}\n" * 100)
    before = path.read_bytes()
    assert "not a SQLite database" in await refused(path)
    assert path.read_bytes() == before


@pytest.mark.parametrize("keep", [0.1, 0.5, 0.99])
async def test_a_truncated_file_is_refused(path: Path, keep: float) -> None:
    """A file that lost its end is refused with what to do."""
    await filled(path)
    os.truncate(path, int(path.stat().st_size * keep))
    assert "damaged" in await refused(path)


async def test_a_file_with_garbage_inside_is_refused(path: Path) -> None:
    """Garbage over some pages in the middle is refused with what to do."""
    await filled(path)
    with path.open("r+b") as file:
        file.seek(4096 * 8)
        file.write(b"\xa5" * 4096 * 4)
    assert "damaged" in await refused(path)


async def test_places_where_no_file_can_be(tmp_path: Path) -> None:
    """A missing directory, a file in place of a directory, and a directory in place of the file are refused with the path."""
    (tmp_path / "file").touch()
    (tmp_path / "directory").mkdir()
    for place in (tmp_path / "none" / "w.db", tmp_path / "file" / "w.db", tmp_path / "directory"):
        await refused(place)


async def test_the_file_is_for_its_owner_only(path: Path) -> None:
    """The files hold biometric results, so only their user may read them, the log included."""
    async with owned(path) as store:
        await committed(store)
        modes = {file.name: file.stat().st_mode & 0o777 for file in path.parent.iterdir()}
    assert set(modes) == {"watcher.db", "watcher.db-wal", "watcher.db-shm", "watcher.db.lock"}
    assert set(modes.values()) == {0o600}


def test_a_commit_is_synced(path: Path) -> None:
    """Each commit syncs the write-ahead log, so that a power failure loses nothing that was acknowledged."""
    create(str(path))
    with contextlib.closing(connect(str(path))) as db:
        prepare(db, str(path))
        assert db.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert db.execute("PRAGMA synchronous").fetchone() == (2,)


async def test_an_older_file_is_migrated(path: Path) -> None:
    """Missing migrations run one time, in order; the content of the file stays."""
    first = (*MIGRATIONS, ["CREATE TABLE extra (x)", "INSERT INTO extra VALUES (1)"])
    second = (*first, ["ALTER TABLE extra ADD y DEFAULT 2"])
    async with owned(path) as store:
        watch = await committed(store)
    for migrations in (first, second, second):
        with contextlib.closing(connect(str(path))) as db:
            prepare(db, str(path), migrations)
            assert db.execute("PRAGMA user_version").fetchone()[0] == len(migrations)
    with contextlib.closing(connect(str(path))) as db:
        assert db.execute("SELECT x, y FROM extra").fetchall() == [(1, 2)]
        assert db.execute("SELECT key FROM watches").fetchall() == [(watch.key,)]


async def test_a_file_without_task_tokens_is_migrated(path: Path) -> None:
    """A file of the version before them keeps its watches, and its tasks can get tokens."""
    create(str(path))
    with contextlib.closing(connect(str(path))) as db:
        prepare(db, str(path), MIGRATIONS[:3])
        watch_rows.admit(db, [a_watch()])
    async with owned(path) as store:
        await store.admit([a_watch(watch="again")], {a_watch().key: ["token"]})
        assert await store.task(a_watch().key) == a_watch()
        assert await store.task_tokens([a_watch().key]) == {a_watch().key: ["token"]}


async def test_a_failing_migration_leaves_the_file_as_it_was(path: Path) -> None:
    """All missing migrations run in one transaction or not at all."""
    async with owned(path):
        pass
    with contextlib.closing(connect(str(path))) as db:
        with pytest.raises(sqlite3.OperationalError):
            prepare(db, str(path), (*MIGRATIONS, ["CREATE TABLE extra (x)", "nonsense"]))
        assert db.execute("SELECT count(*) FROM sqlite_master WHERE name = 'extra'").fetchone()[0] == 0
    async with owned(path):
        pass


async def test_attach_does_not_migrate(path: Path) -> None:
    """Only the owner migrates a file of an earlier version."""
    create(str(path))
    with contextlib.closing(connect(str(path))) as db:
        prepare(db, str(path), [VERSION_1])
    store = on(path)
    with pytest.raises(StoreRefused, match="start the watcher once to migrate"):
        await store.attach()
    await store.close()


async def test_a_file_of_the_first_version_keeps_its_content(path: Path) -> None:
    """A file that the first release wrote is migrated when it is opened: its watches, events and dead letters stay."""
    create(str(path))
    with contextlib.closing(connect(str(path))) as db:
        prepare(db, str(path), [VERSION_1])
        names, values = "key, id, target, kind, params, admitted_at, deadline_at, sequence, polls", (a_watch().key, a_watch().id)
        db.execute(
            f"INSERT INTO watches ({names}) VALUES (?, ?, 'default', 'speaker-search', '[\"vc1\", \"t1\"]', 1000.0, 9000.0, 0, 0)", values
        )
        columns = "id, what, origin, reason, detail, body, at, position, tries, retry"
        db.execute(f"INSERT INTO dead_letters ({columns}) VALUES ('d1', 'input', 'queue', 'parse', 'not JSON', x'7b', 1002.0, 0, 1, 0)")
    async with owned(path) as store:
        assert await store.task(a_watch().key) == a_watch()
        assert await all_dead_letters(store) == [a_dead_letter()]
        assert len(await store.identity()) == 32


async def test_erased_data_is_in_no_file(path: Path) -> None:
    """After an erasure, no result remains in the database or its log, although the store is open."""

    def traces() -> int:
        return sum(file.read_bytes().count(b"canary-0.91") for file in path.parent.iterdir())

    async with owned(path) as store:
        watch = await committed(store, "t1", *"ABCDEFGHIJ")
        events = await unsettled(store)
        await settle(store, "bus", [], [a_dead_letter(f"of {event.to}", event=event) for event in events])
        assert traces() >= 20
        await forget(store, watch)
        assert traces() == 0


async def test_a_sink_needs_one_row_when_it_has_caught_up(path: Path) -> None:
    """An event settled out of order has a row of its own only until the cursor has passed it."""

    def rows() -> tuple[int, int]:
        with contextlib.closing(sqlite3.connect(path)) as db:
            return db.execute("SELECT (SELECT count(*) FROM settled), (SELECT cursor FROM sinks)").fetchone()

    async with owned(path) as store:
        await committed(store, "t1", *"ABCDE")
        one, two, three, four, five = await unsettled(store)
        await settle(store, "bus", [one, two])
        assert rows() == (0, two.position)
        await settle(store, "bus", [four])
        assert rows() == (1, two.position)
        await settle(store, "bus", [three])
        assert rows() == (0, four.position)
        await settle(store, "bus", [], [a_dead_letter(event=five)])
        assert rows() == (0, five.position)


async def test_the_log_stays_small(path: Path) -> None:
    """Checkpoints move committed pages from the log into the file, and the log starts again."""
    async with owned(path) as store:
        watches = list(await store.admit([a_watch(f"t{n}") for n in range(500)]))
        for _ in range(40):
            changes = [moved(watch) for watch in watches]
            await commit(store, *changes)
            watches = [change.watch for change in changes]
        assert path.with_name("watcher.db-wal").stat().st_size < 2 * path.stat().st_size


async def test_in_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`:memory:` is not durable, and leaves no file."""
    monkeypatch.chdir(tmp_path)
    async with owned(":memory:") as store:
        assert not store.durable
        await committed(store, "t1", "A")
    assert list(tmp_path.iterdir()) == []
