"""Thousands of dead letters: commands read them in pages, without the bodies that they do not show."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import pytest

from tests.cli.conftest import Command, in_store
from tests.queries.recorded import dead_letter
from watcher.adapters.stores.sqlite import SqliteStore
from watcher.model import DeadLetter
from watcher.queries.pages import PAGE_SIZE
from watcher.query import DeadLetterQuery, Page

COUNT = 10_000


@pytest.fixture
def many(here: object) -> None:
    """Ten thousand dead letters with bodies of 1 KiB, and one with a body of 256 KiB."""
    letters = [dead_letter(f"{n:016x}", b"x" * 1024, at=float(n)) for n in range(COUNT)]
    large = dead_letter("f" * 16, b"y" * 262_144, at=0.5)

    async def work(store: SqliteStore) -> None:
        await store.add_dead_letters([*letters, large])

    in_store(work)


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int, int]]:
    """The calls about dead letters: name, how many are in the result or named, bytes of bodies read."""
    made: list[tuple[str, int, int]] = []
    read = SqliteStore.dead_letters

    async def dead_letters(self: SqliteStore, query: DeadLetterQuery) -> Page[DeadLetter]:
        found = await read(self, query)
        made.append(("read", len(found.items), sum(len(letter.body) for letter in found.items)))
        return found

    monkeypatch.setattr(SqliteStore, "dead_letters", dead_letters)
    for name in ("retry", "purge"):
        monkeypatch.setattr(SqliteStore, name, _counted(name, getattr(SqliteStore, name), made))
    return made


def _counted(name: str, call: Callable[..., Awaitable[int]], made: list[tuple[str, int, int]]) -> Any:
    async def counted(self: SqliteStore, ids: Sequence[str]) -> int:
        made.append((name, len(ids), 0))
        return await call(self, ids)

    return counted


PAGES = [("read", PAGE_SIZE, 0)] * 10 + [("read", 1, 0)]

pytestmark = pytest.mark.usefixtures("many")


@pytest.mark.parametrize("extra", [(), ("--json",)])
def test_the_list_reads_pages_without_bodies(command: Command, calls: list[tuple[str, int, int]], extra: tuple[str, ...]) -> None:
    """`dead-letters list` shows all of them, and reads each row one time and no body."""
    ended = command("dead-letters", "list", "--config", "w.yaml", *extra)
    assert calls == PAGES
    shown = [each["bytes"] for each in json.loads(ended.out)] if extra else ended.out.splitlines()[1:]
    assert len(shown) == COUNT + 1
    if extra:
        assert set(shown) == {1024, 262_144}


def test_one_is_shown_with_its_body_only(command: Command, calls: list[tuple[str, int, int]]) -> None:
    """`dead-letters show` reads the body of the one that it shows, although a thousand ids begin alike."""
    ended = command("dead-letters", "show", "ffff", "--config", "w.yaml", "--json")
    assert len(json.loads(ended.out)["body"]) == 262_144
    assert sum(size for _, _, size in calls) == 262_144
    calls.clear()
    assert command("dead-letters", "show", "0000", "--config", "w.yaml").err.startswith(f"0000: {COUNT} dead letters")
    assert sum(size for _, _, size in calls) == 0


@pytest.mark.parametrize(("action", "extra"), [("retry", ()), ("purge", ("--yes",))])
def test_all_are_retried_or_purged_in_pages(
    command: Command, calls: list[tuple[str, int, int]], action: str, extra: tuple[str, ...]
) -> None:
    """`--all` marks or erases all of them, a page in each transaction."""
    ended = command("dead-letters", action, "--all", *extra, "--config", "w.yaml")
    assert str(COUNT + 1) in ended.out
    assert calls == [*PAGES, *[(action, PAGE_SIZE, 0)] * 10, (action, 1, 0)]
