from __future__ import annotations

import json

import pytest

from tests.cli.conftest import CANARY, Command, in_store, letter, recorded
from watcher.adapters.stores.sqlite import SqliteStore

ONE, TWO = "1111aaaa1111aaaa", "1222bbbb2222bbbb"


@pytest.fixture
def letters(here: object) -> None:
    recorded(letters=[letter(ONE, CANARY.encode()), letter(TWO, b'{"a":[1]}', reason="field", detail="an id is missing")])


pytestmark = pytest.mark.usefixtures("letters")


def ids(command: Command) -> set[str]:
    return {each["id"] for each in json.loads(command("dead-letters", "list", "--config", "w.yaml", "--json").out)}


def test_the_list_says_why_and_shows_no_body(command: Command) -> None:
    """Reason and detail for each, also as JSON; what came in stays in the store."""
    plain, machine = (command("dead-letters", "list", "--config", "w.yaml", *extra) for extra in ((), ("--json",)))
    assert plain.code == machine.code == 0
    assert "field" in plain.out
    assert "an id is missing" in plain.out
    assert {each["id"]: each["bytes"] for each in json.loads(machine.out)} == {ONE: len(CANARY), TWO: 9}
    assert CANARY not in plain.out + machine.out


def test_show_has_the_body(command: Command) -> None:
    """JSON on lines of its own, anything else as it came; the beginning of an id is enough."""
    ended = command("dead-letters", "show", "12", "--config", "w.yaml")
    assert ended.code == 0
    assert ended.out.endswith('{\n  "a": [\n    1\n  ]\n}\n')
    assert command("dead-letters", "show", ONE, "--config", "w.yaml").out.endswith(f"\n{CANARY}\n")
    assert json.loads(command("dead-letters", "show", ONE, "--config", "w.yaml", "--json").out)["body"] == CANARY


@pytest.mark.parametrize(
    ("body", "shown"),
    [
        (b'{"a":1,"a":2}', '{"a":1,"a":2}'),
        (b"\xff\x1b[31m", "\\xff\\x1b[31m"),
        ('{"a":"\u009b31m\u202e"}'.encode(), '{\n  "a": "\\x9b31m\\u202e"\n}'),
        (b"[" * 5000, "[" * 5000),
    ],
)
def test_a_body_is_shown_so_that_its_mistake_is_seen(command: Command, body: bytes, shown: str) -> None:
    """Neither mended by a reader that forgives, nor able to write to the terminal."""
    recorded(letters=[letter("3333cccc3333cccc", body)])
    assert command("dead-letters", "show", "3333", "--config", "w.yaml").out.endswith(f"\n{shown}\n")


@pytest.mark.parametrize(("id_", "words"), [("9", "no dead letter begins like this"), ("1", "several dead letters begin like this")])
@pytest.mark.parametrize("action", ["show", "retry", "purge"])
def test_an_id_that_means_none_or_several_changes_nothing(command: Command, action: str, id_: str, words: str) -> None:
    """Exit 64, also when other ids beside it are good."""
    others = () if action == "show" else (ONE,)
    ended = command("dead-letters", action, *others, id_, "--config", "w.yaml")
    assert (ended.code, ended.err) == (64, f"{id_}: {words}\n")
    assert ids(command) == {ONE, TWO}
    assert "again" not in command("dead-letters", "list", "--config", "w.yaml").out


def test_retry_asks_the_owner(command: Command) -> None:
    """What is asked for is what the watcher finds, and the list says that it waits."""
    ended = command("dead-letters", "retry", "1111", "--config", "w.yaml")
    assert ended.code == 0
    assert ended.out.startswith("1 dead letter to be tried again: a running watcher takes them up within a second")
    assert "1, again" in command("dead-letters", "list", "--config", "w.yaml").out

    async def work(store: SqliteStore) -> None:
        assert [asked.id for asked in (await store.requests()).retries] == [ONE]

    in_store(work)


def test_retry_takes_all(command: Command) -> None:
    """--all instead of ids."""
    assert command("dead-letters", "retry", "--all", "--config", "w.yaml").out.startswith("2 dead letters to be tried again")


@pytest.mark.parametrize("action", ["retry", "purge"])
@pytest.mark.parametrize("which", [(), (ONE, "--all")])
def test_ids_or_all_but_not_both(command: Command, action: str, which: tuple[str, ...]) -> None:
    """Exit 64 rather than a guess."""
    assert command("dead-letters", action, *which, "--config", "w.yaml").code == 64
    assert ids(command) == {ONE, TWO}


def test_purge_erases_what_is_named(command: Command) -> None:
    """These and no others, also from the file."""
    ended = command("dead-letters", "purge", ONE, "--config", "w.yaml")
    assert (ended.code, ended.out) == (0, "1 dead letter erased\n")
    assert ids(command) == {TWO}
    with open("w.db", "rb") as file:
        assert CANARY.encode() not in file.read()


def test_purge_of_all_wants_a_yes(command: Command) -> None:
    """Without a terminal to ask at it is a usage mistake; with --yes all are gone, and again is no failure."""
    refused = command("dead-letters", "purge", "--all", "--config", "w.yaml")
    assert (refused.code, ids(command)) == (64, {ONE, TWO})
    assert "--yes" in refused.err
    assert command("dead-letters", "purge", "--all", "--yes", "--config", "w.yaml").out == "2 dead letters erased\n"
    assert command("dead-letters", "purge", "--all", "--yes", "--config", "w.yaml").code == 0
