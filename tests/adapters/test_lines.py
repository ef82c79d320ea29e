"""Lines from files and pipes, and a source that never delays the end of the process."""

import json
import os
import subprocess

import anyio
import pytest

from tests.process import HANG_S, PYTHON, completed
from watcher.adapters.sources.lines import BATCH, LinesSource, LinesSourceSettings
from watcher.core.intake.strict_json import MAX_BODY
from watcher.core.intake.submissions import read
from watcher.errors import Invalid, Unavailable
from watcher.kinds.catalog import builtin_catalog

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


async def test_lines_are_numbered_as_in_an_editor(path, source):
    """Blank lines and comments are skipped but counted, and line endings are not part of a body."""
    path.write_bytes(b"# tasks of today\n\nabc/one\r\n  \t\n  # later:\n{}\n\nabc/two")
    await source.open()
    messages = [message for batch in await until_end(source) for message in batch]
    assert [(m.id, m.body) for m in messages] == [(f"{path}:3", b"abc/one"), (f"{path}:6", b"{}"), (f"{path}:8", b"abc/two")]
    assert await source.receive() is None


async def test_plain_lines_are_tasks(path, source):
    """Intake accepts a line with JSON and a line with a plain id, because the source is marked as plain."""
    path.write_bytes(b'abc/one\n{"VoiceConnectorId": "abc", "SpeakerSearchTaskId": "two"}\n')
    await source.open()
    found = [read(message.body, builtin_catalog(), now=0.0, plain=source.plain) for batch in await until_end(source) for message in batch]
    assert [submission.ref.params for (submission,) in found] == [("abc", "one"), ("abc", "two")]


INDENTED = json.dumps({"SpeakerSearchTask": {"SpeakerSearchTaskId": "t-7", "CallDetails": {"VoiceConnectorId": "vc"}}}, indent=4).encode()


async def test_a_value_over_many_lines_is_one_message(path, source):
    """Indented JSON, as the AWS CLI prints it, has the number of its first line, between lines that are messages of their own."""
    path.write_bytes(b"vc/one\n" + INDENTED + b"\n\n" + INDENTED.replace(b"\n", b"\r\n") + b"\n# end\nvc/two")
    await source.open()
    messages = [message for batch in await until_end(source) for message in batch]
    assert [(m.id, m.body) for m in messages] == [
        (f"{path}:1", b"vc/one"), (f"{path}:2", INDENTED), (f"{path}:11", INDENTED), (f"{path}:20", b"vc/two"),
    ]  # fmt: skip
    assert [found.ref.params for (found,) in (read(m.body, builtin_catalog(), now=0.0, plain=True) for m in messages)][1] == ("vc", "t-7")


async def test_a_bad_value_over_many_lines_is_one_message(path, source):
    """It has a reason, and the values after it are read."""
    path.write_bytes(INDENTED[:60] + b"\n" + INDENTED + b"\nvc/two\n" + INDENTED[:-3])
    await source.open()
    messages = [message for batch in await until_end(source) for message in batch]
    assert [m.body for m in messages] == [INDENTED[:60], INDENTED, b"vc/two", INDENTED[:-3]]
    reasons = [getattr(read(m.body, builtin_catalog(), now=0.0, plain=True)[0], "reason", "") for m in messages]
    assert reasons == ["parse", "", "", "parse"]


async def test_a_value_may_come_in_pieces_through_a_pipe(path, source):
    """A value that is not complete is waited for; one that is bad is not: the sender may write nothing more."""
    os.mkfifo(path)
    await source.open()
    writer = os.open(path, os.O_WRONLY | os.O_NONBLOCK)
    for piece in (INDENTED[:20], INDENTED[20:50], INDENTED[50:] + b"\n{bad\n"):
        assert await source.receive() == []
        os.write(writer, piece)
    got = []
    with anyio.fail_after(HANG_S):
        while len(got) < 2:
            got += [message.body for message in await source.receive()]
    assert got == [INDENTED, b"{bad"]
    os.write(writer, INDENTED[:50])
    os.close(writer)
    with anyio.fail_after(HANG_S):
        while len(got) < 3:
            got += [message.body for message in await source.receive()]
    assert got[2] == INDENTED[:50], "the end of its writer ends a value"


async def test_a_long_line_is_cut_above_the_limit(path, source):
    """A line above the limit of intake is cut one byte above it, so that intake rejects it, and the next line is read."""
    path.write_bytes(b"x" * (3 * MAX_BODY) + b"\n" + b"y" * MAX_BODY + b"\nabc/one\n")
    await source.open()
    long, largest, good = (message.body for batch in await until_end(source) for message in batch)
    assert (len(long), len(largest), good) == (MAX_BODY + 1, MAX_BODY, b"abc/one")
    assert read(long, builtin_catalog(), now=0.0, plain=True)[0].reason == "size"


async def test_a_long_file_is_received_in_batches(path, source):
    """A receive returns at most one batch, so that the runtime can pause the intake in between."""
    path.write_bytes(b"abc/one\n" * (3 * BATCH + 1))
    await source.open()
    assert [len(batch) for batch in await until_end(source) if batch] == [BATCH, BATCH, BATCH, 1]


async def test_a_named_pipe_outlives_its_writers(path, source):
    """A pipe is read through several writers, the last line of each needs no newline, and the source never ends."""
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


async def test_a_silent_pipe_is_waited_for(path, source):
    """After the last writer closed the pipe, a receive waits for the next one and does not return at once."""
    os.mkfifo(path)
    await source.open()
    os.close(os.open(path, os.O_WRONLY | os.O_NONBLOCK))
    assert await source.receive() == []
    with anyio.move_on_after(0.1) as scope:
        await source.receive()
    assert scope.cancelled_caught


@pytest.mark.parametrize("make", [lambda path: None, lambda path: path.mkdir()])
async def test_an_unreadable_path_is_in_the_error(path, source, make):
    """Opening a missing file or a directory raises Invalid with the path."""
    make(path)
    with pytest.raises(Invalid, match=str(path)):
        await source.open()


async def test_a_closed_source_raises_unavailable(source):
    """A receive or a check of a source that is not open raises Unavailable."""
    with pytest.raises(Unavailable, match="not open"):
        await source.receive()
    with pytest.raises(Unavailable, match="not open"):
        await source.check()


@pytest.mark.process
def test_stdin_may_be_anything(path):
    """stdin is read to its end if it is a pipe, a file or /dev/null."""
    command = [PYTHON, "-c", FROM_STDIN]
    expected = b"-:1 abc/one\n-:2 abc/two\n"
    assert completed(command, input=b"abc/one\nabc/two", capture_output=True, check=True).stdout == expected
    path.write_bytes(b"abc/one\nabc/two\n")
    with path.open("rb") as file:
        assert completed(command, stdin=file, capture_output=True, check=True).stdout == expected
    assert completed(command, stdin=subprocess.DEVNULL, capture_output=True, check=True).stdout == b""


@pytest.mark.process
def test_a_silent_stdin_does_not_delay_the_end():
    """The process ends although stdin is a pipe without data whose writer stays open."""
    reader, writer = os.pipe()
    ended = completed([PYTHON, "-c", STOPPED_BEFORE_ITS_END], stdin=reader)
    os.close(reader)
    os.close(writer)
    assert ended.returncode == 0
