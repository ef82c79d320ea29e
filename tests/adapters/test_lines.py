"""What the lines source makes of files and pipes, and that it never holds up the end."""

import os
import subprocess

import anyio
import pytest

from tests.process import HANG_S, PYTHON, completed
from watcher.adapters.sources.lines import BATCH, LinesSource, LinesSourceSettings
from watcher.core.intake.submissions import MAX_BODY, read
from watcher.errors import Invalid, Unavailable

FROM_STDIN = """
import asyncio
from watcher.adapters.sources.lines import LinesSource, LinesSourceSettings

async def main():
    source = LinesSource(LinesSourceSettings())
    await source.open()
    while (messages := await source.receive()) is not None:
        for message in messages:
            print(message.id, message.body.decode())
    await source.close()

asyncio.run(main())
"""
STOPPED_BEFORE_ITS_END = """
import anyio
from watcher.adapters.sources.lines import LinesSource, LinesSourceSettings

async def main():
    source = LinesSource(LinesSourceSettings())
    await source.open()
    with anyio.move_on_after(0.1):
        while await source.receive() is not None:
            pass
    await source.close()

anyio.run(main)
"""


@pytest.fixture
def path(tmp_path):
    return tmp_path / "tasks.txt"


@pytest.fixture
async def source(path):
    source = LinesSource(LinesSourceSettings(path=str(path)))
    yield source
    await source.close()


async def until_end(source):
    batches = []
    while (batch := await source.receive()) is not None:
        batches.append(batch)
    return batches


async def test_lines_are_numbered_as_an_editor_does(path, source):
    """Blank lines and comments are skipped but counted; endings of any system, and none at the end, are no part of a body."""
    path.write_bytes(b"# tasks of today\n\nabc/one\r\n  \t\n  # later:\n{}\n\nabc/two")
    await source.open()
    messages = [message for batch in await until_end(source) for message in batch]
    assert [(m.id, m.body) for m in messages] == [(f"{path}:3", b"abc/one"), (f"{path}:6", b"{}"), (f"{path}:8", b"abc/two")]
    assert await source.receive() is None


async def test_plain_lines_are_tasks(path, source):
    """What the source says of itself is enough for intake to take both forms of a line."""
    path.write_bytes(b'abc/one\n{"VoiceConnectorId": "abc", "SpeakerSearchTaskId": "two"}\n')
    await source.open()
    found = [read(message.body, now=0.0, plain=source.plain) for batch in await until_end(source) for message in batch]
    assert [submission.ref.params for (submission,) in found] == [("abc", "one"), ("abc", "two")]


async def test_an_endless_line_is_cut_above_the_limit(path, source):
    """Of a line too long for intake just enough is kept to be refused as that; the next line is as good as any."""
    path.write_bytes(b"x" * (3 * MAX_BODY) + b"\n" + b"y" * MAX_BODY + b"\nabc/one\n")
    await source.open()
    long, largest, good = (message.body for batch in await until_end(source) for message in batch)
    assert (len(long), len(largest), good) == (MAX_BODY + 1, MAX_BODY, b"abc/one")
    assert read(long, now=0.0, plain=True)[0].reason == "size"


async def test_a_long_file_comes_in_pieces(path, source):
    """Back-pressure has a place to work between batches."""
    path.write_bytes(b"abc/one\n" * (3 * BATCH + 1))
    await source.open()
    assert [len(batch) for batch in await until_end(source) if batch] == [BATCH, BATCH, BATCH, 1]


async def test_a_named_pipe_outlives_its_writers(path, source):
    """Writers come and go, each one's last line counts also without a newline, and the source never ends."""
    os.mkfifo(path)
    await source.open()
    for lines in (b"abc/one\nabc/two", b"abc/three"):
        writer = os.open(path, os.O_WRONLY | os.O_NONBLOCK)
        os.write(writer, lines)
        os.close(writer)
        got = []
        with anyio.fail_after(HANG_S):
            while len(got) < lines.count(b"/"):
                got += [message.body for message in await source.receive()]
        assert got == lines.split(b"\n")
    assert await source.receive() == []


async def test_a_silent_pipe_is_waited_for_without_work(path, source):
    """After the last writer hung up, a receive waits for the next: it does not come back at once, again and again."""
    os.mkfifo(path)
    await source.open()
    os.close(os.open(path, os.O_WRONLY | os.O_NONBLOCK))
    assert await source.receive() == []
    with anyio.move_on_after(0.1) as scope:
        await source.receive()
    assert scope.cancelled_caught


@pytest.mark.parametrize("make", [lambda path: None, lambda path: path.mkdir()])
async def test_what_cannot_be_read_is_named_with_its_path(path, source, make):
    """A missing file and a directory are refused when opened."""
    make(path)
    with pytest.raises(Invalid, match=str(path)):
        await source.open()


async def test_closed_says_so(source):
    """A source that is not open reads nothing and says why."""
    with pytest.raises(Unavailable, match="not open"):
        await source.receive()
    with pytest.raises(Unavailable, match="not open"):
        await source.check()


@pytest.mark.process
def test_stdin_may_be_anything(path):
    """stdin is read to its end as a pipe, as a file and as /dev/null."""
    command = [PYTHON, "-c", FROM_STDIN]
    expected = b"-:1 abc/one\n-:2 abc/two\n"
    assert completed(command, input=b"abc/one\nabc/two", capture_output=True, check=True).stdout == expected
    path.write_bytes(b"abc/one\nabc/two\n")
    with path.open("rb") as file:
        assert completed(command, stdin=file, capture_output=True, check=True).stdout == expected
    assert completed(command, stdin=subprocess.DEVNULL, capture_output=True, check=True).stdout == b""


@pytest.mark.process
def test_a_silent_stdin_does_not_hold_up_the_end():
    """The process ends while whoever holds the other end of stdin has said nothing and hung up never."""
    reader, writer = os.pipe()
    ended = completed([PYTHON, "-c", STOPPED_BEFORE_ITS_END], stdin=reader)
    os.close(reader)
    os.close(writer)
    assert ended.returncode == 0
