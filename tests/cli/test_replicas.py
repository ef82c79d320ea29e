from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from tests.cli.conftest import CONFIG, Command, in_thread
from tests.cli.shared_store import NAMES, SHARDS, Shared, shared_store
from tests.postgres import Database
from tests.process import PYTHON
from tests.terminal import Seen, on_terminal
from watcher import registry
from watcher.model import QuotaUse, Report


@pytest.fixture
def three(monkeypatch: pytest.MonkeyPatch) -> Shared:
    """A store that three replicas share, which own all shards."""
    store = shared_store()
    monkeypatch.setitem(registry.STORES, "sqlite", store)  # type: ignore[arg-type]  # a dict that its users cannot change
    return store


@pytest.mark.usefixtures("three")
def test_replicas_are_listed_with_what_they_own(command: Command) -> None:
    """Each replica has a line with version, times, and shards, and one for each quota; the last line counts the shards that are owned."""
    ended = command("replicas", "--config", "w.yaml")
    assert (ended.code, ended.err) == (0, "")
    replicas, quotas, last = ended.out.split("\n\n")
    head, *rows = replicas.splitlines()
    assert [name.strip() for name in head.split("  ") if name] == ["REPLICA", "VERSION", "STARTED", "RENEWED", "LEASE LEFT", "SHARDS"]
    assert [row.split()[:2] for row in rows] == [[name, "1.2.0"] for name in NAMES]
    assert [row.split()[-3:] for row in rows] == [[f"{owned},", "20", "loaded"] for owned in (22, 21, 21)]
    assert [row.split() for row in quotas.splitlines()[1:4]] == [[name, "speaker-search", "6.67", "1234", "0.25", "s"] for name in NAMES]
    assert len(quotas.splitlines()) == 1 + 2 * len(NAMES)
    assert last == f"{SHARDS} of {SHARDS} shards have an owner.\n"


@pytest.mark.usefixtures("three")
def test_json_has_ranges_of_shards(command: Command) -> None:
    """`replicas --json` prints one object with the shards of each replica."""
    ended = command("replicas", "--config", "w.yaml", "--json")
    found = json.loads(ended.out)
    assert (found["shards"], found["unowned"], found["trouble"]) == (SHARDS, 0, [])
    assert [each["shards"] for each in found["replicas"]] == [22, 21, 21]
    assert all(each["shard_ranges"] for each in found["replicas"])


def test_what_is_wrong_is_said_on_stderr(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """More replicas than shards are listed, and a sentence on stderr says that one of them is too many."""
    monkeypatch.setitem(registry.STORES, "sqlite", shared_store(shards=2))  # type: ignore[arg-type]  # as above
    ended = command("replicas", "--config", "w.yaml")
    assert ended.code == 0
    assert ended.err.startswith("there are 3 replicas and 2 shards")


def test_without_replicas_there_is_no_table(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no replica is alive, stdout is empty, and stderr says what to do."""
    store = shared_store(replicas=1)
    store.store.leases.leave(NAMES[0])
    monkeypatch.setitem(registry.STORES, "sqlite", store)  # type: ignore[arg-type]  # as above
    ended = command("replicas", "--config", "w.yaml")
    assert (ended.code, ended.out) == (0, "")
    assert ended.err.startswith("no replica is alive")


@pytest.mark.parametrize("store", ["{type: sqlite, path: w.db}", "{type: memory}"])
def test_a_store_with_a_single_owner_has_no_replicas(command: Command, here: Path, store: str) -> None:
    """The command exits with 74, says which type of store has replicas, and creates no file."""
    (here / "w.yaml").write_text(CONFIG.replace("{type: sqlite, path: w.db}", store), encoding="utf-8")
    ended = command("replicas", "--config", "w.yaml")
    assert (ended.code, ended.out) == (74, "")
    assert "has a single owner" in ended.err
    assert "set store.type to postgres" in ended.err
    assert not (here / "w.db").exists()


def shown(columns: int) -> Seen:
    """What the command shows on a terminal."""
    dropped = ("COLUMNS", "LINES", "NO_COLOR", "FORCE_COLOR", "CI", "WATCHER_CONFIG")
    environment = {name: value for name, value in os.environ.items() if name not in dropped}
    script = [PYTHON, "-m", "tests.cli.shared_store", "replicas", "w.yaml"]
    return on_terminal(script, {**environment, "TERM": "xterm", "PYTHONPATH": str(Path(__file__).parents[2])}, columns)


@pytest.mark.process
def test_the_name_of_a_replica_is_whole_on_a_narrow_terminal(here: Path) -> None:
    """At 80 columns, a long name has a line of its own, no line is wider than the terminal, and shards are only counted."""
    seen = shown(80)
    assert max(seen.widths()) <= 80
    lines = [line.strip() for line in seen.final()]
    assert all(name in lines for name in NAMES)
    assert lines[lines.index(NAMES[0]) + 1].endswith("22, 20 loaded")


@pytest.mark.process
def test_a_wide_terminal_shows_which_shards(here: Path) -> None:
    """From 120 columns on, the shards of a replica are named as ranges, on its own line."""
    lines = shown(140).raw.decode().splitlines()
    (row,) = [line for line in lines if NAMES[1] in line and "1.2.0" in line]
    assert "21, 20 loaded: " in row


async def test_the_replicas_of_a_database_are_listed_from_outside(command: Command, here: Path, database: Database) -> None:
    """The command reads PostgreSQL beside the replica that owns all shards, and registers none itself."""
    settings = {"type": "postgres", "dsn": database.server.dsn, "schema_name": database.schema}
    (here / "w.yaml").write_text(CONFIG.replace("{type: sqlite, path: w.db}", json.dumps(settings)), encoding="utf-8")
    store = database.store()
    await store.open(["log"])
    try:
        claim = await store.claim(Report("1.2.0", 0, {"voice-tone": QuotaUse(2.5, 7)}))
        for _ in range(2):
            found = json.loads((await in_thread(command, "replicas", "--config", "w.yaml", "--json")).out)
            assert [(each["name"], each["version"], each["shards"]) for each in found["replicas"]] == [(claim.me, "1.2.0", store.shards)]
            assert (found["shards"], found["unowned"], found["trouble"]) == (store.shards, 0, [])
        assert found["replicas"][0]["quotas"]["voice-tone"]["watches"] == 7
    finally:
        await store.close()
    ended = await in_thread(command, "replicas", "--config", "w.yaml")
    assert ended.err.startswith("no replica is alive")
