from __future__ import annotations

from random import Random

import pytest
from click.testing import CliRunner

from watcher.cli import app
from watcher.errors import Busy, Denied, NotFound, Unreadable
from watcher.model import TaskRef
from watcher.simulator import Scenario, SimulatedProbe, TaskTable, VoiceService
from watcher.simulator.id_rules import ID_RULES, rule_of
from watcher.simulator.simulated_kinds import SPEAKER_SEARCH, VOICE_TONE

SCENARIO = Scenario(seed=41, failed=0.3, stopped=0.3, partial=0.5)


def statuses(task_id: str, kind=SPEAKER_SEARCH, scenario: Scenario = SCENARIO) -> list[str]:
    """All statuses of a task of this id."""
    table = TaskTable(scenario)
    assert table.find(kind, "vc", task_id, 1000.0) is not None
    return [status for status, _ in table.truth(TaskRef(kind.name, ("vc", task_id)))]


SUFFIXES = ["1", "call-77", "0b4c9a1e-0000-4222-8333-944445555667", "ü/x"]


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("kind", [SPEAKER_SEARCH, VOICE_TONE], ids=lambda kind: kind.name)
@pytest.mark.parametrize(
    ("prefix", "end"),
    [("succeeded-", ["SUCCEEDED"]), ("failed-", ["FAILED"]), ("stopped-", ["STOPPED"]), ("partial-", ["PARTIAL_SUCCESS", "SUCCEEDED"])],
)
def test_an_id_decides_how_its_task_ends(prefix: str, end: list[str], kind, suffix: str) -> None:
    """Whatever the seed draws, the task has the end that its id names, and PARTIAL_SUCCESS only as its id says."""
    for seed in range(20):
        found = statuses(prefix + suffix, kind, SCENARIO.model_copy(update={"seed": seed}))
        assert found == ["IN_QUEUE", "IN_PROGRESS", *end]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_an_id_decides_how_long_its_task_takes(suffix: str) -> None:
    """`settled-` keeps PARTIAL_SUCCESS, `stuck-` never ends, and `slow-` runs ten times as long as the same draw."""
    assert statuses(f"settled-{suffix}") == ["IN_QUEUE", "IN_PROGRESS", "PARTIAL_SUCCESS"]
    assert statuses(f"stuck-{suffix}") == ["IN_QUEUE", "IN_PROGRESS"]
    fixed = Scenario(durations="queue=2,run=7", partial=0)
    table = TaskTable(fixed)
    table.find(SPEAKER_SEARCH, "vc", f"slow-{suffix}", 100.0)
    [_, (_, started), (_, ended)] = table.truth(TaskRef("speaker-search", ("vc", f"slow-{suffix}")))
    assert ended - started == pytest.approx(70)


@pytest.mark.looptime(noop_cycles=0)
@pytest.mark.parametrize(("prefix", "error"), [("missing-", NotFound), ("denied-", Denied), ("busy-", Busy), ("broken-", Unreadable)])
async def test_an_id_decides_the_error_of_each_call(prefix: str, error: type[Exception]) -> None:
    """Every call about such a task fails in the same way, and calls about others do not."""
    probe = SimulatedProbe(VoiceService(Scenario(), lambda: 5000.0))
    for _ in range(3):
        with pytest.raises(error):
            await probe.observe_one(TaskRef("voice-tone", ("vc", f"{prefix}9")))
    assert (await probe.observe_one(TaskRef("voice-tone", ("vc", prefix.removesuffix("-"))))).status == "IN_QUEUE"


@pytest.mark.looptime(noop_cycles=0)
async def test_a_late_task_is_found_after_a_while() -> None:
    """A task `late-…` is not found for `Scenario.hidden`, and then found."""
    now = [900.0]
    probe = SimulatedProbe(VoiceService(Scenario(hidden=33), lambda: now[0]))
    ref = TaskRef("speaker-search", ("vc", "late-5"))
    with pytest.raises(NotFound):
        await probe.observe_one(ref)
    now[0] += 34
    assert (await probe.observe_one(ref)).created_at == 900.0


def test_other_ids_are_drawn_as_before() -> None:
    """An id that only resembles one that decides is drawn: no other id changes its task."""
    for name in ("failed", "Failed-1", "my-failed-1", "failed_1", "-failed-", str(Random(3).random())):
        assert rule_of(name) is rule_of("anything")


def test_the_help_names_each_id() -> None:
    """`simulate --help` names each beginning of an id that decides."""
    text = CliRunner().invoke(app, ["simulate", "--help"]).output
    assert [prefix for prefix in ID_RULES if f"{prefix} " not in text.replace(",", " ")] == []
