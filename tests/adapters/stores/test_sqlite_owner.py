"""One owner of a file, whatever it is called; and a lock that follows, truncates, and overwrites nothing."""

# ruff: noqa: ASYNC240 - nothing else runs in the loop while a test looks at a file

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.adapters.stores.sqlite_ground import another_program, on, owned, refused
from tests.contracts.store_exam.facts import committed, keys
from tests.process import completed
from watcher.adapters.stores.sqlite.owner import OwnerLock, has_owner
from watcher.errors import StoreRefused, StoreUnavailable
from watcher.query import TaskQuery

OWN = """
    async def main():
        async with owned(sys.argv[1]) as store:
            print("owned", flush=True)
            sys.stdin.readline()

    asyncio.run(main())
"""


@contextmanager
def another_owner(path: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that owns the store, until the block ends."""
    with another_program(OWN, path) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "owned\n"
        yield process


def symbolic_link(path: Path, elsewhere: Path) -> Path:
    other = elsewhere / "link.db"
    other.symlink_to(path)
    return other


def relative_link_to_a_link(path: Path, elsewhere: Path) -> Path:
    (elsewhere / "between").symlink_to(os.path.relpath(path, elsewhere))
    other = elsewhere / "link.db"
    other.symlink_to("between")
    return other


def link_to_the_directory(path: Path, elsewhere: Path) -> Path:
    (elsewhere / "link").symlink_to(path.parent, target_is_directory=True)
    return elsewhere / "link" / path.name


def hard_link(path: Path, elsewhere: Path) -> Path:
    other = elsewhere / "hard.db"
    os.link(path, other)
    return other


def mount_of_the_file(path: Path, elsewhere: Path) -> Path:
    other = elsewhere / "mounted.db"
    other.touch()
    bind(path, other)
    return other


def mount_of_the_directory(path: Path, elsewhere: Path) -> Path:
    (elsewhere / "mounted").mkdir()
    bind(path.parent, elsewhere / "mounted")
    return elsewhere / "mounted" / path.name


def bind(source: Path, target: Path) -> None:
    if shutil.which("mount") is None or completed(["mount", "--bind", source, target], capture_output=True).returncode:
        pytest.skip("this process must not mount anything")


NAMES = [symbolic_link, relative_link_to_a_link, link_to_the_directory, hard_link, mount_of_the_file, mount_of_the_directory]


@pytest.fixture
def elsewhere(tmp_path: Path) -> Iterator[Path]:
    """A directory for other names of a store. What a test mounts in it is unmounted at its end."""
    directory = tmp_path / "elsewhere"
    directory.mkdir()
    yield directory
    for place in (directory / "mounted", directory / "mounted.db"):
        if place.exists():
            completed(["umount", place], capture_output=True)


@pytest.mark.process
@pytest.mark.parametrize("name", NAMES, ids=lambda name: name.__name__)
async def test_a_second_owner_under_another_name_is_refused(path: Path, elsewhere: Path, name: Callable[[Path, Path], Path]) -> None:
    """While a process owns a file, its other names are refused too, in that process and in others; afterwards any name will do."""
    async with owned(path) as store:
        await committed(store)
    other = name(path, elsewhere)
    with another_owner(path):
        assert "owned by another watcher" in await refused(other)
    async with owned(path):
        assert "owned by another watcher" in await refused(other)
    with another_owner(other):
        assert "owned by another watcher" in await refused(path)
    async with owned(other):
        pass


@pytest.mark.process
async def test_a_link_is_refused_with_the_process_id(path: Path, elsewhere: Path) -> None:
    """Through a symbolic link the lock beside the file is found, so the refusal names the owner's process."""
    async with owned(path):
        pass
    (elsewhere / "link.db").symlink_to(path)
    with another_owner(path) as process:
        assert f"process {process.pid}:" in await refused(elsewhere / "link.db")
        assert has_owner(str(elsewhere / "link.db"))
    assert not has_owner(str(elsewhere / "link.db"))


@pytest.mark.process
async def test_an_operator_is_refused_under_a_name_that_has_another_log(path: Path, elsewhere: Path) -> None:
    """SQLite names its log after the file: beside an owner, a hard link is refused, and a symbolic link reads what is in the log."""
    async with owned(path) as store:
        watch = await committed(store)
        (elsewhere / "link.db").symlink_to(path)
        operator = on(elsewhere / "link.db")
        await operator.attach()
        assert keys((await operator.tasks(TaskQuery())).items) == [watch.key]
        await operator.close()
    os.link(path, elsewhere / "hard.db")
    with another_owner(path):
        operator = on(elsewhere / "hard.db")
        with pytest.raises(StoreRefused, match="another name of this file"):
            await operator.attach()
        await operator.close()


@pytest.mark.parametrize("replaced", [False, True])
async def test_nothing_is_written_while_another_file_or_none_has_the_name(path: Path, *, replaced: bool) -> None:
    """A write to a file that was moved away fails as unavailable and changes nothing; after the file is back, writes work."""
    async with owned(path) as store:
        kept = await committed(store, "before")
        path.rename(path.with_name("away"))
        if replaced:
            path.write_bytes(b"")
        with pytest.raises(StoreUnavailable, match="removed or replaced"):
            await committed(store, "lost")
        path.with_name("away").rename(path)
        new = await committed(store, "after")
        assert {watch.key for watch in (await store.tasks(TaskQuery())).items} == {kept.key, new.key}


@pytest.mark.process
async def test_without_its_lock_file_an_owner_stays_the_only_one(path: Path) -> None:
    """Removing the lock file lets no second owner in."""
    with another_owner(path):
        path.with_name("watcher.db.lock").unlink()
        assert "lock file was removed" in await refused(path)


@pytest.mark.parametrize("make", [os.symlink, os.link], ids=["symbolic", "hard"])
async def test_a_lock_that_is_a_link_is_refused(path: Path, tmp_path: Path, make: Callable[[Path, Path], None]) -> None:
    """The lock neither follows a link nor changes the file at its other end, also an empty one."""
    for content in ("a file of another program", "4711", ""):
        theirs = tmp_path / "theirs"
        theirs.write_text(content)
        lock = path.with_name("watcher.db.lock")
        make(theirs, lock)
        assert "link" in await refused(path)
        assert theirs.read_text() == content
        assert not path.exists()
        lock.unlink()


async def test_a_link_to_nothing_creates_nothing(path: Path, tmp_path: Path) -> None:
    """A lock that is a symbolic link to a missing file is refused, and the missing file stays missing."""
    path.with_name("watcher.db.lock").symlink_to(tmp_path / "nothing")
    assert "link" in await refused(path)
    assert not (tmp_path / "nothing").exists()


async def test_a_lock_that_no_watcher_wrote_is_not_overwritten(path: Path) -> None:
    """A file of another program with the name of the lock is refused and not changed; one of an earlier watcher is used."""
    lock = path.with_name("watcher.db.lock")
    for content in ("notes\n", "123456789012345678901234567890"):
        lock.write_text(content)
        assert "not written by a watcher" in await refused(path)
        assert lock.read_text() == content
    lock.write_text("99999")
    async with owned(path):
        assert lock.read_text().strip() == str(os.getpid())


@pytest.mark.parametrize("suffix", ["", ".lock"])
def test_a_command_that_looks_for_an_owner_makes_no_start_fail(tmp_path: Path, suffix: str) -> None:
    """A lock that another process holds shared for a moment is waited for; only an owner is refused."""
    path = tmp_path / "watcher.db"
    Path(f"{path}{suffix}").touch()
    look = os.open(f"{path}{suffix}", os.O_RDONLY)
    fcntl.flock(look, fcntl.LOCK_SH)
    end = threading.Timer(0.05, os.close, [look])
    end.start()
    lock = OwnerLock(str(path))
    try:
        lock.acquire()
        assert has_owner(str(path))
    finally:
        lock.release()
        end.join()
