"""JSON lines in files that are moved, full or incomplete, and in pipes whose readers stop."""

import errno
import json
import os
import resource
import subprocess

import anyio
import pytest

from tests.contracts.sink_exam import an_event
from tests.process import HANG_S, PYTHON, completed
from watcher.adapters.sinks.jsonl import JsonlSink, JsonlSinkSettings
from watcher.errors import Unavailable
from watcher.ports import Delivered

TO_STDOUT = """
import asyncio
from tests.contracts.sink_exam import an_event
from tests.process import HANG_S, PYTHON, completed
from watcher.adapters.sinks.jsonl import JsonlSink, JsonlSinkSettings
from watcher.errors import PeerGone

async def main():
    sink = JsonlSink(JsonlSinkSettings())
    await sink.open()
    try:
        await sink.send([an_event(str(n)) for n in range(3)])
    except PeerGone as error:
        raise SystemExit('gone')
    finally:
        await sink.close()

asyncio.run(main())
"""


@pytest.fixture
def path(tmp_path):
    return tmp_path / "events.jsonl"


@pytest.fixture
async def sink(path):
    sink = JsonlSink(JsonlSinkSettings(path=str(path)))
    yield sink
    await sink.close()


async def test_appends_to_what_is_there(path, sink):
    """The content of an existing file stays, and each event is a line of its own."""
    path.write_text('{"before": 1}\n')
    await sink.open()
    await sink.send([an_event("a"), an_event("b")])
    assert [json.loads(line).get("subject") for line in path.read_text().splitlines()] == [None, an_event("a").key, an_event("b").key]


async def test_an_incomplete_line_stays_alone(path, sink):
    """After an incomplete last line, as after a crash, the next event starts on a line of its own."""
    path.write_bytes(b'{"whole": 1}\n{"half": ')
    await sink.open()
    await sink.send([an_event("a")])
    await sink.send([an_event("b")])
    assert path.read_bytes().splitlines()[1:] == [b'{"half": ', an_event("a").body, an_event("b").body]


async def test_log_rotation_needs_no_signal(path, sink, tmp_path):
    """After the file was moved away, the next batch is written to a new file with the same path."""
    await sink.open()
    await sink.send([an_event("a")])
    path.rename(tmp_path / "events.jsonl.1")
    await sink.send([an_event("b")])
    path.unlink()
    await sink.send([an_event("c")])
    assert (tmp_path / "events.jsonl.1").read_bytes() == an_event("a").body + b"\n"
    assert path.read_bytes() == an_event("c").body + b"\n"


async def test_a_full_disk_is_unavailable():
    """A write to a full disk raises Unavailable, which is retried."""
    sink = JsonlSink(JsonlSinkSettings(path="/dev/full"))
    await sink.open()
    with pytest.raises(Unavailable) as caught:
        await sink.send([an_event()])
    assert caught.value.code == "ENOSPC"
    await sink.close()


async def test_a_batch_written_in_part_is_sent_again(path, sink):
    """After a write that ended within a line, the repeated batch starts on a new line and is complete."""
    events = [an_event(str(n)) for n in range(3)]
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    await sink.open()
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(events[0].body) + 20, hard))
    try:
        with pytest.raises(Unavailable) as caught:
            await sink.send(events)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert caught.value.code == "EFBIG"
    await sink.send(events)
    first, incomplete, *again = path.read_bytes().splitlines()
    assert (first, incomplete) == (events[0].body, events[1].body[:19])
    assert again == [event.body for event in events]


@pytest.mark.parametrize("fsync", [True, False])
async def test_delivered_means_synced(path, monkeypatch, fsync):
    """A batch is delivered only after the disk confirmed it, unless `fsync` is false."""

    def broken(_):
        raise OSError(errno.EIO, "from the disk")

    sink = JsonlSink(JsonlSinkSettings(path=str(path), fsync=fsync))
    await sink.open()
    monkeypatch.setattr(os, "fsync", broken)
    if fsync:
        with pytest.raises(Unavailable, match="EIO"):
            await sink.send([an_event()])
    else:
        assert await sink.send([an_event()]) == [Delivered()]
    await sink.close()


async def test_a_missing_directory_is_unavailable_until_it_exists(tmp_path):
    """While the directory is missing the error names the path, and the same sink delivers once it exists."""
    path = tmp_path / "later" / "events.jsonl"
    sink = JsonlSink(JsonlSinkSettings(path=str(path)))
    with pytest.raises(Unavailable, match=f"ENOENT: {path}"):
        await sink.open()
    path.parent.mkdir()
    assert await sink.send([an_event()]) == [Delivered()]
    await sink.close()


async def test_a_pipe_without_reader_is_unavailable(path, sink):
    """Without a reader a pipe can be opened, but a send raises Unavailable at once; a new reader receives complete lines."""
    os.mkfifo(path)
    await sink.open()
    with pytest.raises(Unavailable, match="ENXIO"):
        await sink.send([an_event("a")])
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    await sink.send([an_event("a")])
    os.close(reader)
    with pytest.raises(Unavailable, match="EPIPE"):
        await sink.send([an_event("b")])
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    await sink.send([an_event("b")])
    assert os.read(reader, 1 << 16) == an_event("b").body + b"\n"
    os.close(reader)


async def test_a_stopped_reader_delays_nothing(path, sink):
    """A send to a full pipe can be cancelled, and the next send completes the line first, so that no line is incomplete."""
    os.mkfifo(path)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    big = [an_event(str(n), padding=50_000) for n in range(4)]
    with anyio.move_on_after(0.2) as scope:
        await sink.send(big)
    assert scope.cancelled_caught

    got = bytearray()
    with anyio.fail_after(HANG_S):
        async with anyio.create_task_group() as tasks:

            async def read():
                while not got.endswith(an_event("last").body + b"\n"):
                    await anyio.wait_readable(reader)
                    got.extend(os.read(reader, 1 << 16))

            tasks.start_soon(read)
            await sink.send([*big, an_event("last")])
    os.close(reader)
    lines = bytes(got).splitlines()
    assert {json.loads(line)["subject"] for line in lines} == {event.key for event in [*big, an_event("last")]}
    assert lines[-5:] == [event.body for event in [*big, an_event("last")]]


@pytest.mark.process
def test_stdout_may_be_anything(tmp_path):
    """stdout can be a pipe, a file or /dev/null; a send to a stdout without a reader raises PeerGone."""
    command = [PYTHON, "-c", TO_STDOUT]
    bodies = [an_event(str(n)).body for n in range(3)]
    assert completed(command, stdout=subprocess.PIPE, check=True).stdout.splitlines() == bodies
    with (tmp_path / "out").open("wb") as file:
        completed(command, stdout=file, check=True)
    assert (tmp_path / "out").read_bytes().splitlines() == bodies
    completed(command, stdout=subprocess.DEVNULL, check=True)
    reader, writer = os.pipe()
    os.close(reader)
    gone = completed(command, stdout=writer, stderr=subprocess.PIPE)
    os.close(writer)
    assert gone.stderr.strip() == b"gone"
