"""A sink that was renamed or removed while the store has events for it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import anyio
import pytest

from tests.cli.conftest import CONFIG, Command, in_process, in_store
from tests.contracts.store_exam.facts import a_dead_letter, commit, committed, moved, settle, unsettled
from watcher.adapters.stores.sqlite import SqliteStore, SqliteStoreSettings
from watcher.model import Leftover

LEFT = "2 undelivered events and 1 dead letters"


@pytest.fixture
def renamed(here: Path) -> None:
    """A store in which the sink `log` has not delivered two events and has rejected one; the configuration calls it `lines`."""

    async def work(store: SqliteStore) -> None:
        watch = await committed(store, "t1", "A", "B")
        await commit(store, moved(watch, "C", end=True))  # nothing is left to poll
        event = (await unsettled(store, "log"))[1]
        await settle(store, "log", [], [replace(a_dead_letter("d1", event=event), origin="log")])

    in_store(work)
    (here / "w.yaml").write_text(CONFIG.replace("name: log", "name: lines"))


def left() -> dict[str, Leftover]:
    """What opening the store with the new name alone would erase. Erases it."""

    async def work() -> dict[str, Leftover]:
        store = SqliteStore(SqliteStoreSettings(path="w.db"))
        try:
            return dict(await store.open(["lines"], ["log"]))
        finally:
            await store.close()

    return anyio.run(work)


@pytest.mark.process
@pytest.mark.usefixtures("renamed")
async def test_a_start_is_refused_and_erases_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """`run` exits with 78, names the sink, what is left, and the option; a second attempt finds the same."""
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    for _ in range(2):
        ended = await in_process("run", "--config", "w.yaml")
        assert ended.code == 78, ended.err
        assert f'sinks: "log" is no longer configured, and the store has {LEFT}' in ended.err
        assert "--drop-sink log" in ended.err
        assert "Traceback" not in ended.err


@pytest.mark.process
@pytest.mark.usefixtures("renamed")
async def test_a_start_that_drops_the_sink(monkeypatch: pytest.MonkeyPatch) -> None:
    """With `--drop-sink` the run starts, and logs what it has erased; the option names no sink that is configured."""
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    monkeypatch.setenv("WATCHER_LOGS__FORMAT", "json")
    refused = await in_process("run", "--drop-sink", "lines", "--config", "w.yaml")
    assert (refused.code, refused.err) == (78, "--drop-sink lines: this sink is configured; remove it from the file first\n")
    ended = await in_process("run", "--drop-sink", "other", "--drop-sink", "log", "--config", "w.yaml")
    logged = [json.loads(line) for line in ended.err.splitlines() if '"sink_dropped"' in line]
    assert [(line["sink"], line["undelivered"], line["dead_letters"]) for line in logged] == [("log", 2, 1)]


@pytest.mark.usefixtures("renamed")
def test_config_check_warns(command: Command) -> None:
    """`config check --store` exits with 78 and says what `run` would say; without the option it does not read the store."""
    ended = command("config", "check", "w.yaml", "--store")
    assert (ended.code, ended.out) == (78, "")
    assert ended.err.startswith(f'sinks: "log" is no longer configured, and the store has {LEFT}')
    assert command("config", "check", "w.yaml").code == 0
    assert left() == {"log": Leftover(2, 1)}
    assert command("config", "check", "w.yaml", "--store").code == 0


def test_config_check_creates_no_store(command: Command, here: Path) -> None:
    """Where there is no store yet, or one in memory, `config check --store` finds nothing and creates nothing."""
    assert command("config", "check", "w.yaml", "--store").code == 0
    (here / "m.yaml").write_text(CONFIG.replace("{type: sqlite, path: w.db}", "{type: memory}"))
    assert command("config", "check", "m.yaml", "--store").code == 0
    assert {file.name for file in here.iterdir()} == {"w.yaml", "m.yaml", "tasks.txt"}


@pytest.mark.usefixtures("renamed")
def test_the_doctor_warns(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """`doctor` reports the store as failed, with what is left and what to do."""
    monkeypatch.setattr("watcher.cli.check_result.CHECK_S", 0.5)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    found = {each["check"]: each for each in json.loads(command("doctor", "--config", "w.yaml", "--json").out)["checks"]}
    assert found["store"]["state"] == "failed"
    assert found["store"]["seen"] == f"{LEFT} for the sink log, which is not configured"
    assert found["store"]["hint"].endswith("watcher run --drop-sink log")
