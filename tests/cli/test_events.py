from __future__ import annotations

import json
import os
import re
import signal
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import anyio
import pytest

from tests.cli.conftest import Command, in_store, recorded
from tests.cli.running_api import RunningApi, lines
from tests.process import POLL_S, PYTHON, WatcherProcess, process
from tests.queries.recorded import RecordedTask
from tests.terminal import on_terminal
from watcher.adapters.stores.sqlite import SqliteStore
from watcher.cli.event_feed import _wait_s
from watcher.errors import ApiError

KEYS = [f"speaker-search/abc/t{n}" for n in (1, 2)] + ["voice-tone/abc/t3"]


@pytest.fixture
def tasks(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Three tasks with four events."""
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    tasks = [RecordedTask("t1").seen("IN_PROGRESS", 30).seen("SUCCEEDED", 10), RecordedTask("t2").seen("IN_PROGRESS", 5)]
    recorded(*tasks, RecordedTask("t3", kind="voice-tone").ended("cancelled", 1))


@pytest.fixture(params=["store", "server", "stream"])
def where(request: pytest.FixtureRequest, tasks: None) -> Iterator[tuple[str, ...]]:
    """The options that read the events: from the store, from a running watcher in pages, or as a stream that ends at the limit."""
    if request.param == "store":
        yield ("--config", "w.yaml")
        return
    api = RunningApi()
    with api.running():
        yield ("--url", api.url, *(("--follow",) if request.param == "stream" else ()))


def stored() -> list[dict[str, Any]]:
    """The events of the store, without the command."""
    found: list[dict[str, Any]] = []

    async def read(store: SqliteStore) -> None:
        for key in KEYS:
            found.extend(json.loads(event.body) for event in await store.task_events(key))

    in_store(read)
    return found


def test_all_events_are_printed_in_order_for_each_task(command: Command, tasks: None, where: tuple[str, ...]) -> None:
    """`events --json` prints each CloudEvent as one line, from the store as from a running watcher."""
    ended = command("events", "--json", "--limit", "4", *where)
    assert (ended.code, ended.err) == (0, "")
    printed = lines(ended.out)
    assert [event["subject"] for event in printed if event["subject"] == KEYS[0]] == [KEYS[0]] * 2
    assert sorted(event["id"] for event in printed) == sorted({event["id"] for event in printed})
    if "--config" in where:
        assert sorted(printed, key=lambda event: (event["subject"], event["sequence"])) == stored()


def test_a_line_for_a_person_has_time_task_and_change(command: Command, where: tuple[str, ...]) -> None:
    """Without --json each event is a line: when it was observed, the whole key, and the change."""
    ended = command("events", "--limit", "4", *where)
    assert ended.code == 0
    rows = ended.out.splitlines()
    assert [row[16:].split("  ")[0] for row in rows] == [KEYS[0], KEYS[0], KEYS[1], KEYS[2]]
    assert ended.out.isascii()
    assert [re.fullmatch(r"\d\d-\d\d \d\d:\d\d:\d\d", row[:14]) is not None for row in rows] == [True] * 4
    assert "IN_PROGRESS -> SUCCEEDED" in rows[1]
    assert "watch ended: cancelled" in rows[3]


@pytest.mark.parametrize(
    ("filters", "keys"),
    [
        (("abc/t1",), [KEYS[0]] * 2),
        (("--task", KEYS[2]), [KEYS[2]]),
        (("--kind", "voice-tone"), [KEYS[2]]),
        (("--terminal",), [KEYS[0], KEYS[2]]),
        (("--terminal", "abc/t2"), []),
        (("--after", "now"), []),
    ],
    ids=str,
)
def test_filters_select_events(command: Command, where: tuple[str, ...], filters: tuple[str, ...], keys: list[str]) -> None:
    """A task, a kind, and --terminal select events, and --after now leaves out those that are stored."""
    where = where if keys else where[:2]  # a stream without an event does not end
    ended = command("events", "--json", *filters, "--limit", str(len(keys) or 1), *where)
    assert (ended.code, [event["subject"] for event in lines(ended.out)]) == (0, keys), ended.err


def test_a_cursor_file_continues_after_the_last_event(command: Command, where: tuple[str, ...]) -> None:
    """With --cursor-file, calls that print one event each print all events, each one once, and then nothing."""
    printed = []
    for _ in range(4):
        printed += lines(command("events", "--json", "--limit", "1", "--cursor-file", "place", *where).out)
    assert [event["subject"] for event in printed] == [KEYS[0], KEYS[0], KEYS[1], KEYS[2]]
    assert len({event["id"] for event in printed}) == 4
    if "--follow" not in where:
        assert command("events", "--cursor-file", "place", *where).out == ""
    assert [file.name for file in Path().glob("place*")] == ["place"]


def test_a_cursor_of_the_store_continues_at_the_server(command: Command, tasks: None) -> None:
    """A cursor file that was written from the store continues with --url, and the other way around."""
    first = lines(command("events", "--json", "--limit", "1", "--cursor-file", "place", "--config", "w.yaml").out)
    api = RunningApi()
    with api.running():
        first += lines(command("events", "--json", "--limit", "1", "--cursor-file", "place", "--url", api.url).out)
    first += lines(command("events", "--json", "--cursor-file", "place", "--config", "w.yaml").out)
    assert [event["subject"] for event in first] == [KEYS[0], KEYS[0], KEYS[1], KEYS[2]]


def test_a_text_that_is_no_cursor_is_a_usage_error(command: Command, where: tuple[str, ...]) -> None:
    """A text that no command has printed exits with 64, and names the parameter."""
    ended = command("events", "--after", "nonsense", *where)
    assert (ended.code, ended.out) == (64, "")
    assert "after" in ended.err
    assert "not a cursor" in ended.err


def test_a_cursor_of_another_store_is_a_usage_error(command: Command, tasks: None) -> None:
    """A cursor that the store cannot continue exits with 64 and says what to do; the file is kept."""
    assert command("events", "--limit", "1", "--cursor-file", "place", "--config", "w.yaml").code == 0
    Path("w.db").unlink()
    recorded(RecordedTask("t1"))
    before = Path("place").read_text()
    ended = command("events", "--cursor-file", "place", "--config", "w.yaml")
    assert (ended.code, ended.out) == (64, "")
    assert "another store" in ended.err
    assert "--cursor-file" in ended.err
    assert Path("place").read_text() == before


def test_a_server_with_another_store_refuses_the_cursor(command: Command, tasks: None) -> None:
    """410 exits with 64, and the message says how to start again."""
    assert command("events", "--limit", "1", "--cursor-file", "place", "--config", "w.yaml").code == 0
    Path("w.db").unlink()
    recorded()
    api = RunningApi()
    with api.running():
        for follow in ((), ("-f",)):
            ended = command("events", "--cursor-file", "place", "--url", api.url, *follow)
            assert (ended.code, ended.out) == (64, "")
            assert "--after now" in ended.err


@pytest.mark.parametrize("content", [b"two words", b"\xff\x00", b"x" * 30_000])
def test_a_file_that_is_no_cursor_file_is_an_error(command: Command, tasks: None, content: bytes) -> None:
    """A file with other content exits with 74, and is not overwritten."""
    Path("place").write_bytes(content)
    ended = command("events", "--cursor-file", "place", "--config", "w.yaml")
    assert (ended.code, ended.out) == (74, "")
    assert "contains no cursor" in ended.err
    assert Path("place").read_bytes() == content


def test_a_cursor_file_without_a_directory_is_an_error(command: Command, tasks: None) -> None:
    """No event is printed, and the command exits with 74."""
    ended = command("events", "--cursor-file", "missing/place", "--config", "w.yaml", "--json")
    assert (ended.code, ended.out) == (74, "")
    assert "there is no directory missing" in ended.err


def test_a_cursor_file_that_cannot_be_written_is_an_error(command: Command, tasks: None) -> None:
    """The events are printed, and the command exits with 74 and names the file."""
    Path("place.new").mkdir()
    ended = command("events", "--cursor-file", "place", "--config", "w.yaml", "--json")
    assert (ended.code, len(lines(ended.out))) == (74, 4)
    assert "place" in ended.err


@pytest.mark.process
async def test_a_stream_survives_restarts_of_the_watcher(here: Path, tasks: None) -> None:
    """`events -f` connects again when the watcher has restarted, without a gap or a repeat. After a kill of itself, it continues, and may
    repeat the event whose cursor it had not stored."""
    api = RunningApi()
    reader = WatcherProcess(here, {}, "reader")
    with ExitStack() as stack:
        with api.running():
            arguments = ("events", "-f", "--json", "--cursor-file", "place", "--url", api.url)
            with reader.running(*arguments):
                await _printed(reader, 4)
                api.submit("new-1")
                await _printed(reader, 5)
        with api.running():
            api.submit("new-2")
            stack.enter_context(reader.running(*arguments))
            await _printed(reader, 6)
        with api.running():
            api.submit("new-3")
            await _printed(reader, 7)
            reader.send(signal.SIGINT)
            assert await reader.wait() == 130
    printed = [event["id"] for event in lines(reader.out.read_text())]
    assert len(set(printed)) == 7
    assert printed in (list(dict.fromkeys(printed)), [*printed[:5], printed[4], *printed[6:]])
    assert "Connection lost" in reader.text()
    assert "Connected again" in reader.text()


@pytest.mark.process
async def test_a_store_is_followed_beside_its_owner(here: Path, tasks: None) -> None:
    """`events -f` prints what another process commits, from a store without an API, until SIGTERM."""
    reader = WatcherProcess(here, {}, "reader")
    with reader.running("events", "-f", "--json", "--after", "now", "--cursor-file", "place", "--config", "w.yaml"):
        while not Path("place").exists():  # noqa: ASYNC110, ASYNC240 - a file sets no event
            await anyio.sleep(POLL_S)
        await anyio.to_thread.run_sync(in_store, RecordedTask("t9").seen("IN_PROGRESS", 1).record)
        await _printed(reader, 1)
        reader.send(signal.SIGTERM)
        assert await reader.wait() == 143
    assert [event["subject"] for event in lines(reader.out.read_text())] == ["speaker-search/abc/t9"]


@pytest.mark.process
@pytest.mark.usefixtures("tasks")
@pytest.mark.parametrize("columns", [70, 100])
def test_a_line_fits_the_terminal(columns: int) -> None:
    """On a terminal no line is wider than it, and a task has a short name."""
    environment = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES")}
    seen = on_terminal([PYTHON, "-m", "watcher", "events", "--config", "w.yaml"], {**environment, "TERM": "xterm"}, columns)
    assert seen.code == 0
    assert max(seen.widths()) <= columns
    assert [line.split()[2] for line in seen.final(columns)[:4]] == ["abc/t1", "abc/t1", "abc/t2", "abc/t3"]


async def _printed(reader: WatcherProcess, count: int) -> None:
    """Wait until the reader has printed so many different lines."""
    while len(set(reader.out.read_bytes().split(b"\n")[:-1])) < count:
        assert not reader.ended, reader.text()
        await anyio.sleep(POLL_S)


@pytest.mark.process
def test_a_reader_of_the_output_that_is_gone_ends_the_stream(command: Command, tasks: None) -> None:
    """When the reader of stdout has closed it, the next event ends the command with 74, without a traceback, and comes again later."""
    api = RunningApi()
    with api.running():
        where = ("--json", "--cursor-file", "place", "--url", api.url)
        follow = [PYTHON, "-m", "watcher", "events", "-f", "--after", "now", *where]
        with process(follow, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as reader:
            while not Path("place").exists():
                assert reader.poll() is None
            assert reader.stdout is not None
            assert reader.stderr is not None
            reader.stdout.close()
            api.submit("new-1")
            assert reader.wait() == 74
            assert reader.stderr.read() == ""
        assert [event["subject"] for event in lines(command("events", *where).out)] == ["speaker-search/abc/new-1"]


@pytest.mark.parametrize(
    ("failures", "retry_after", "expected"),
    [(1, None, 1.0), (3, None, 4.0), (6, None, 30.0), (5000, None, 30.0), (1, 7.0, 7.0), (9, 5000.0, 300.0)],
)
def test_waits_grow_unless_the_watcher_says_how_long(failures: int, retry_after: float | None, expected: float) -> None:
    """The longest wait doubles up to 30 s; a requested wait is kept up to 5 min."""
    error = ApiError("busy", "", retry_after=retry_after)
    assert _wait_s(failures, error, lambda _, longest: longest) == expected
