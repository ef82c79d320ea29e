from __future__ import annotations

import json
import os

import pytest

from tests.cli.conftest import Command, in_store, recorded
from tests.process import PYTHON, completed
from tests.queries.recorded import CANARY, dead_letter
from watcher.adapters.stores.sqlite import SqliteStore

ONE, TWO = "1111aaaa1111aaaa", "1222bbbb2222bbbb"


@pytest.fixture
def two_dead_letters(here: object) -> None:
    letters = [dead_letter(ONE, CANARY.encode()), dead_letter(TWO, b'{"a":[1]}', reason="field", detail="an id is missing")]
    recorded(dead_letters=letters)


pytestmark = pytest.mark.usefixtures("two_dead_letters")


def ids(command: Command) -> set[str]:
    return {each["id"] for each in json.loads(command("dead-letters", "list", "--config", "w.yaml", "--json").out)}


def test_the_list_has_reasons_and_no_bodies(command: Command) -> None:
    """`dead-letters list` prints reason and detail of each dead letter, and no body, as text and as JSON."""
    plain, machine = (command("dead-letters", "list", "--config", "w.yaml", *extra) for extra in ((), ("--json",)))
    assert plain.code == machine.code == 0
    assert "field" in plain.out
    assert "an id is missing" in plain.out
    shown = json.loads(machine.out)
    assert {each["id"]: each["bytes"] for each in shown} == {ONE: len(CANARY), TWO: 9}
    assert list(shown[0]) == ["id", "what", "origin", "reason", "detail", "at", "key", "tries", "retry", "bytes"]
    assert CANARY not in plain.out + machine.out


def test_only_show_prints_the_good_message_of_a_reason(command: Command) -> None:
    """The list has room for what is wrong; the details also have what would be right."""
    detail = 'an id is missing; a good message: {"kind": "k"}'
    letter = dead_letter("3333cccc3333cccc", b"{}", detail=detail)
    in_store(lambda store: store.add_dead_letters([letter]))
    listed = command("dead-letters", "list", "--config", "w.yaml").out
    assert listed.count("an id is missing") == 2
    assert "a good message" not in listed
    assert detail in command("dead-letters", "show", "3333", "--config", "w.yaml").out


def test_a_long_detail_makes_no_other_row_longer(command: Command) -> None:
    """The detail is the last column: what reads the list has short rows for the other dead letters."""
    in_store(lambda store: store.add_dead_letters([dead_letter("3333cccc3333cccc", b"{}", detail="x" * 500)]))
    head, *rows = command("dead-letters", "list", "--config", "w.yaml").out.splitlines()
    assert head.split() == ["ID", "WHAT", "FROM", "REASON", "AGE", "TRIES", "DETAIL"]
    assert sorted(len(row) > 500 for row in rows) == [False, False, True]


def test_show_prints_the_body(command: Command) -> None:
    """`dead-letters show` takes the beginning of an id, and prints JSON indented and any other body unchanged."""
    ended = command("dead-letters", "show", "12", "--config", "w.yaml")
    assert ended.code == 0
    assert ended.out.endswith('{\n  "a": [\n    1\n  ]\n}\n')
    assert command("dead-letters", "show", ONE, "--config", "w.yaml").out.endswith(f"\n{CANARY}\n")
    assert json.loads(command("dead-letters", "show", ONE, "--config", "w.yaml", "--json").out)["body"] == CANARY


@pytest.mark.parametrize(
    ("body", "shown"),
    [(b"\xff\x1b[31m", "\\xff\\x1b[31m"), ('{"a":"\u009b31m\u202e"}'.encode(), '{\n  "a": "\\x9b31m\\u202e"\n}')],
)
def test_a_body_cannot_control_the_terminal(command: Command, body: bytes, shown: str) -> None:
    """`dead-letters show` escapes every character of a body that does not print."""
    recorded(dead_letters=[dead_letter("3333cccc3333cccc", body)])
    assert command("dead-letters", "show", "3333", "--config", "w.yaml").out.endswith(f"\n{shown}\n")


@pytest.mark.parametrize(
    ("id_", "message"), [("9", "no dead letter has this id"), ("1", "2 dead letters have an id that begins with this")]
)
@pytest.mark.parametrize("action", ["show", "retry", "purge"])
def test_an_id_that_names_none_or_several_changes_nothing(command: Command, action: str, id_: str, message: str) -> None:
    """An id that does not name exactly one dead letter exits with 64, also beside other ids, and nothing is changed."""
    others = () if action == "show" else (ONE,)
    ended = command("dead-letters", action, *others, id_, "--config", "w.yaml")
    assert ended.code == 64
    assert ended.err.startswith(f"{id_}: {message}")
    assert ids(command) == {ONE, TWO}
    assert "retry requested" not in command("dead-letters", "list", "--config", "w.yaml").out


def test_retry_requests_a_retry_by_the_owner(command: Command) -> None:
    """`dead-letters retry` marks a dead letter: the list shows the mark, and the owner of the store finds the request."""
    ended = command("dead-letters", "retry", "1111", "--config", "w.yaml")
    assert ended.code == 0
    assert ended.out.startswith("1 dead letter marked for a retry")
    assert "1, retry requested" in command("dead-letters", "list", "--config", "w.yaml").out

    async def work(store: SqliteStore) -> None:
        assert [letter.id for letter in (await store.requests()).retries] == [ONE]

    in_store(work)


def test_retry_takes_all(command: Command) -> None:
    """`dead-letters retry --all` marks every dead letter."""
    assert command("dead-letters", "retry", "--all", "--config", "w.yaml").out.startswith("2 dead letters marked for a retry")


@pytest.mark.parametrize("action", ["retry", "purge"])
@pytest.mark.parametrize("which", [(), (ONE, "--all")])
def test_ids_and_all_exclude_each_other(command: Command, action: str, which: tuple[str, ...]) -> None:
    """Neither ids nor --all, or both, is a usage error that changes nothing."""
    assert command("dead-letters", action, *which, "--config", "w.yaml").code == 64
    assert ids(command) == {ONE, TWO}


def test_purge_erases_the_named_ones(command: Command) -> None:
    """`dead-letters purge ID` erases this dead letter, also its bytes in the file, and no other one."""
    ended = command("dead-letters", "purge", ONE, "--config", "w.yaml")
    assert (ended.code, ended.out) == (0, "Erased 1 dead letter.\n")
    assert ids(command) == {TWO}
    with open("w.db", "rb") as file:
        assert CANARY.encode() not in file.read()


def test_purge_of_all_needs_a_confirmation(command: Command) -> None:
    """Without a terminal, `dead-letters purge --all` needs --yes; when there is nothing left, it succeeds."""
    refused = command("dead-letters", "purge", "--all", "--config", "w.yaml")
    assert (refused.code, ids(command)) == (64, {ONE, TWO})
    assert "--yes" in refused.err
    assert command("dead-letters", "purge", "--all", "--yes", "--config", "w.yaml").out == "Erased 2 dead letters.\n"
    assert command("dead-letters", "purge", "--all", "--yes", "--config", "w.yaml").code == 0


@pytest.mark.parametrize(("answer", "code", "words"), [(b"\x04", 64, "--yes"), (b"n\n", 130, "Aborted"), (b"y\n", 0, "Erased 2")])
def test_a_terminal_is_asked(answer: bytes, code: int, words: str) -> None:
    """The end of the input is no answer and no signal: the error names --yes. Nothing is erased without a yes."""
    ours, theirs = os.openpty()
    try:
        os.write(ours, answer)
        arguments = [PYTHON, "-m", "watcher", "dead-letters", "purge", "--all", "--config", "w.yaml"]
        done = completed(arguments, stdin=theirs, capture_output=True, text=True)
    finally:
        os.close(ours)
        os.close(theirs)
    assert done.returncode == code, done.stderr
    assert words in done.stdout + done.stderr
