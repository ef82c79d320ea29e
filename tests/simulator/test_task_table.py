from __future__ import annotations

import pytest
from pydantic import ValidationError

from watcher.kinds import KINDS, Phase
from watcher.model import TaskRef
from watcher.simulator import Scenario, TaskTable

SEARCH, TONE = KINDS["speaker-search"], KINDS["voice-tone"]
T0 = 1_800_000_000.0


def ref(task_id: str) -> TaskRef:
    return TaskRef("speaker-search", ("vc", task_id))


def lives(scenario: Scenario, n: int = 300) -> TaskTable:
    world = TaskTable(scenario)
    for i in range(n):
        world.find(SEARCH, "vc", f"t{i}", T0)
    return world


def test_a_life_does_not_depend_on_the_order_of_questions() -> None:
    """The same seed gives a task the same life, whichever tasks were asked about before, and whatever its kind's twin does."""
    forwards, backwards = TaskTable(Scenario(seed=7)), TaskTable(Scenario(seed=7))
    for i in range(50):
        forwards.find(SEARCH, "vc", f"t{i}", T0)
    for i in reversed(range(50)):
        backwards.find(TONE, "vc", f"t{i}", T0)
        backwards.find(SEARCH, "vc", f"t{i}", T0)
    for i in range(50):
        life = forwards.life(ref(f"t{i}"))
        assert life == backwards.life(ref(f"t{i}"))


def test_another_seed_is_another_world() -> None:
    """Seeds give different lives, and so do different voice connectors for one task id."""
    one, two = lives(Scenario(seed=1), 20), lives(Scenario(seed=2), 20)
    assert [one.truth(ref(f"t{i}")) for i in range(20)] != [two.truth(ref(f"t{i}")) for i in range(20)]
    one.find(SEARCH, "other", "t0", T0)
    assert one.truth(TaskRef("speaker-search", ("other", "t0"))) != one.truth(ref("t0"))


def test_lives_go_through_the_statuses_of_their_kind_in_order() -> None:
    """Each life starts in the queue, passes known statuses in the order of the kind, and ends in one terminal status."""
    world = lives(Scenario(partial=0.5, failed=0.2, stopped=0.2))
    order = list(SEARCH.statuses)
    seen = set()
    for i in range(300):
        statuses, times = zip(*world.truth(ref(f"t{i}")), strict=True)
        seen.update(statuses)
        assert statuses[0] == "IN_QUEUE"
        assert [order.index(s) for s in statuses] == sorted(order.index(s) for s in statuses)
        assert list(times) == sorted(times)
        assert [SEARCH.phase(s) is Phase.TERMINAL for s in statuses] == [False] * (len(statuses) - 1) + [True]
    assert seen == set(order)


def test_shares_of_ends_are_kept() -> None:
    """As many tasks fail and stop as the scenario says."""
    world = lives(Scenario(failed=0.3, stopped=0.2), 2000)
    ends = [world.truth(ref(f"t{i}"))[-1][0] for i in range(2000)]
    assert ends.count("FAILED") / 2000 == pytest.approx(0.3, abs=0.04)
    assert ends.count("STOPPED") / 2000 == pytest.approx(0.2, abs=0.04)


def test_shares_above_one_are_refused() -> None:
    """Failed and stopped are shares of the same tasks."""
    with pytest.raises(ValidationError, match="together at most 1"):
        Scenario(failed=0.7, stopped=0.7)


def test_the_truth_is_what_is_shown() -> None:
    """At every moment the task shows the status that the truth has begun last, to the millisecond, with its timestamps."""
    world = lives(Scenario(partial=0.5), 50)
    for i in range(50):
        life, truth = world.life(ref(f"t{i}")), world.truth(ref(f"t{i}"))
        assert life is not None
        for n, (status, at) in enumerate(truth):
            if n + 1 < len(truth) and truth[n + 1][1] == at:
                continue  # a status that lasts no millisecond is never shown
            assert life.observation(at, at).status == status
            assert life.observation(at, at).updated_at == at
            if n and truth[n - 1][1] < at:
                assert life.observation(at - 0.001, at).status == truth[n - 1][0]


def test_a_result_grows_with_the_status() -> None:
    """No matches before PARTIAL_SUCCESS, no voiceprint before SUCCEEDED; a failed task has a message and no result."""
    world = lives(Scenario(partial=1, failed=0.5, stopped=0))
    for i in range(300):
        life = world.life(ref(f"t{i}"))
        assert life is not None
        by_status = {status: life.observation(at, at) for status, at in life.truth()}
        assert by_status["IN_PROGRESS"].result is None
        if "FAILED" in by_status:
            assert by_status["FAILED"].message
            assert by_status["FAILED"].result is None
        else:
            partial, whole = by_status["PARTIAL_SUCCESS"].result, by_status["SUCCEEDED"].result
            assert partial is not None
            assert whole is not None
            assert partial["voiceprint"] is None
            assert whole == {"voiceprint": whole["voiceprint"], "matches": partial["matches"]}
            assert not SEARCH.settled(partial)
            assert SEARCH.settled(whole)


def test_a_partial_success_that_stays_gets_its_voiceprint_later() -> None:
    """With partial_stays the status does not change again, but the result does, once, and the timestamp with it."""
    life = lives(Scenario(partial=1, partial_stays=1, failed=0, stopped=0, durations="queue=0,run=fixed(10)"), 1).life(ref("t0"))
    assert life is not None
    status, at = life.truth()[-1]
    early, late = life.observation(at, at), life.observation(T0 + 10, T0 + 10)
    assert (status, early.status, late.status) == ("PARTIAL_SUCCESS",) * 3
    assert early.result is not None
    assert late.result is not None
    assert (early.result["voiceprint"] is None, late.result["voiceprint"] is None) == (True, False)
    assert (early.updated_at, late.updated_at) == (at, T0 + 10)


def test_a_stopped_task_stays_stopped() -> None:
    """A stop ends a task then and there, is its last word, and changes nothing about a task that had ended."""
    world = lives(Scenario(durations="queue=1,run=fixed(10)", failed=0, stopped=0, partial=0), 2)
    running, ended = world.life(ref("t0")), world.life(ref("t1"))
    assert running is not None
    assert ended is not None
    running.stop(T0 + 5)
    ended.stop(T0 + 20)
    running.stop(T0 + 6)
    assert running.truth() == (("IN_QUEUE", T0), ("IN_PROGRESS", T0 + 1), ("STOPPED", T0 + 5))
    assert ended.truth()[-1] == ("SUCCEEDED", T0 + 11)


def test_a_task_that_never_ends_has_no_end() -> None:
    """With the law `never` a task stays in progress for good."""
    world = lives(Scenario(durations="queue=1,run=never"), 1)
    assert world.truth(ref("t0")) == (("IN_QUEUE", T0), ("IN_PROGRESS", T0 + 1))
    life = world.life(ref("t0"))
    assert life is not None
    assert life.ended_at is None
    assert life.observation(T0 + 1e8, 0).status == "IN_PROGRESS"


def test_a_request_token_is_one_task() -> None:
    """StartSpeakerSearchTask with the same ClientRequestToken is the same task; without one each is another."""
    world, request = TaskTable(Scenario()), {"TransactionId": "call-1", "VoiceProfileDomainId": "d"}
    token = {**request, "ClientRequestToken": "once"}
    first = world.start(SEARCH, "vc", token, T0)
    assert world.start(SEARCH, "vc", token, T0 + 5) is first
    assert len({world.start(SEARCH, "vc", request, T0).task_id for _ in range(5)} | {first.task_id}) == 6
    assert first.call.transaction_id == "call-1"


def test_with_known_only_a_task_must_be_started() -> None:
    """Nothing begins by being asked about, and a started task is found."""
    world = TaskTable(Scenario(known_only=True))
    assert world.find(SEARCH, "vc", "t", T0) is None
    started = world.start(SEARCH, "vc", {"TransactionId": "c"}, T0)
    assert world.find(SEARCH, "vc", started.task_id, T0) is started


def test_a_task_is_gone_after_the_retention() -> None:
    """Seven days after its end the service knows a task no more, and it does not begin again."""
    world = lives(Scenario(durations="queue=0,run=fixed(10)"), 1)
    week = SEARCH.retention_s
    assert world.find(SEARCH, "vc", "t0", T0 + 9 + week) is not None
    assert world.find(SEARCH, "vc", "t0", T0 + 11 + week) is None


def test_memory_is_bounded() -> None:
    """No more lives are kept than the scenario allows; the oldest goes first."""
    world = lives(Scenario(max_tasks=10), 25)
    assert [r.params[1] for r in world.refs()] == [f"t{i}" for i in range(15, 25)]


def test_the_mark_is_on_everything_private() -> None:
    """Every transaction, profile and message carries the mark, so that a test can look for it where it must not be."""
    world = lives(Scenario(mark="CANARY-", failed=0.5))
    for i in range(300):
        life = world.life(ref(f"t{i}"))
        assert life is not None
        assert life.call.transaction_id.startswith("CANARY-")
        assert life.message.startswith("CANARY-")
        assert all(match["VoiceProfileId"].startswith("CANARY-") for match in life.matches)
