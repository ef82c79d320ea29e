"""Circuits open on trouble with credentials or with a service, never on trouble with one task."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from watcher.core.polling.circuit import PROBE_FIRST_S, PROBE_MAX_S, CircuitChange
from watcher.core.polling.circuits import DENIED_S, DISTINCT, NAMES, OUTAGE_CALLS, OUTAGE_S, CallCircuits, Circuits
from watcher.errors import (
    BatchFailed,
    Busy,
    CredentialsRejected,
    Denied,
    Invalid,
    NotFound,
    RemoteError,
    Throttled,
    Unavailable,
    Unreadable,
)
from watcher.model import DEFAULT_TARGET

GOOD = None
ERRORS = [error("code") for error in (Throttled, Unavailable, Busy, NotFound, Denied, Invalid, CredentialsRejected, Unreadable)]
VOICE, BATCH = "chime-sdk-voice", "batch"


OPENERS = {"credentials": CredentialsRejected, "outage": Unavailable, "unreadable": Unreadable, "not_found": NotFound}
HOLD_ALL = ["credentials", "outage", "unreadable"]
"""The circuits that hold all calls to their service."""


def note(circuits: CallCircuits, error: RemoteError | None, key: str = "k", group: str = "vc", now: float = 0.0) -> list[tuple[str, bool]]:
    """Which circuits one call about one task opened or closed."""
    return [(change.name, change.opened) for change in circuits.note(error, [(key, group)], now)]


def after(*answers, circuits=None):
    """The circuits after (error, task, group, at) each, and the changes on the way."""
    circuits = circuits or Circuits().of(DEFAULT_TARGET, VOICE)
    return circuits, [change for answer in answers for change in note(circuits, *answer)]


def outage(calls=OUTAGE_CALLS, over=OUTAGE_S):
    return [(Unavailable("503"), f"k{n}", "vc", over * n / (calls - 1)) for n in range(calls)]


def opened(name, circuits=None):
    """Circuits of which this one has been open since 0."""
    circuits = circuits or Circuits().of(DEFAULT_TARGET, VOICE)
    error = OPENERS[name]("code")
    for n in range(OUTAGE_CALLS):
        note(circuits, error, f"k{n}", now=-OUTAGE_S if name == "outage" and n == 0 else 0.0)
    if name == "not_found":
        circuits.overdue(-60.0, "code", 0.0)
    assert circuits.open == (name,)
    return circuits


@pytest.mark.parametrize(("calls", "over", "opens"), [(5, 60, True), (500, 59.9, False), (4, 600, False), (5, 600, True), (1000, 61, True)])
def test_an_outage_is_a_minute_of_unavailable(calls, over, opens) -> None:
    """Five calls and sixty seconds of nothing but Unavailable open the circuit; fewer calls or less time do not."""
    circuits, changes = after(*outage(calls, over))
    assert changes == ([("outage", True)] if opens else [])
    assert circuits.open == (("outage",) if opens else ())


@pytest.mark.parametrize("answer", [GOOD, *(e for e in ERRORS if not isinstance(e, Unavailable))], ids=lambda a: type(a).__name__)
def test_any_answer_in_between_is_no_outage(answer) -> None:
    """A service that answers a call, even with an error, is not down."""
    calls = outage(100, 70)
    _, changes = after(*calls[:50], (answer, "k", "vc", 35.0), *calls[50:])
    assert ("outage", True) not in changes


def test_rejected_credentials_open_at_once() -> None:
    """The first call whose credentials are rejected opens the circuit, because that is never the fault of one task."""
    circuits = Circuits().of(DEFAULT_TARGET, VOICE)
    changes = circuits.note(CredentialsRejected("ExpiredToken", expired=True), [("k", "vc")], 0.0)
    assert changes == [CircuitChange("credentials", DEFAULT_TARGET, None, True, "ExpiredToken")]
    assert circuits.open == ("credentials",)


def test_calls_that_the_sdk_lacks_say_nothing() -> None:
    """They open and close no circuit, and are not an answer that would end an outage."""
    unsent = Unreadable("no_operation", unsent=True)
    assert after(*[(unsent, f"k{n}", "vc", 1.0 * n) for n in range(100)])[1] == []
    bad = [(unsent, "bad", "vc", 1.0 * n) for n in range(60)]
    assert after(*sorted([*outage(), *bad], key=lambda call: call[3]))[1] == [("outage", True)]
    assert note(opened("credentials"), unsent) == []


def test_denials_in_three_groups_are_about_the_credentials() -> None:
    """The third denied group opens the circuit, whatever the number of denied calls in the first two."""
    circuits, changes = after(*[(Denied("no"), f"k{n}", f"vc-{n % 2}", 0.1 * n) for n in range(20)])
    assert not changes
    assert note(circuits, Denied("no"), "k", "vc-9", 3.0) == [("credentials", True)]


def test_nothing_but_denials_is_about_the_credentials() -> None:
    """In a single group, three tasks and half a minute of nothing but denials open the circuit."""
    _, changes = after(*[(Denied("no"), f"k{n % 3}", "vc", n * DENIED_S / 6) for n in range(7)])
    assert changes == [("credentials", True)]


def test_denials_beside_good_answers_are_about_one_group() -> None:
    """While one group is denied and another one answers, nothing opens, however long it lasts."""
    calls = [(Denied("no") if n % 3 else GOOD, f"k{n % 7}", "vc-denied" if n % 3 else "vc", 1.0 * n) for n in range(1000)]
    assert after(*calls)[1] == []


def test_unreadable_replies_for_three_tasks_open() -> None:
    """Unreadable replies for two tasks are about these tasks; for a third one, they are about the path to the service."""
    circuits, changes = after(*[(Unreadable("no_task"), f"k{n % 2}", "vc", float(n)) for n in range(50)])
    assert not changes
    assert note(circuits, Unreadable("no_task"), "k9", now=60.0) == [("unreadable", True)]


def test_a_series_of_foreign_answers_opens_for_a_single_task() -> None:
    """Three answers in a row that are not the service's own open the circuit, and an answer of the service starts the series again."""
    page = Unreadable("403", foreign=True)
    circuits, changes = after(*[(page, "k", "vc", 1.0), (page, "k", "vc", 2.0), (GOOD, "k2", "vc", 3.0)] * 20)
    assert not changes
    _, changes = after((page, "k", "vc", 4.0), (Unavailable("502"), "k", "vc", 5.0), (page, "k", "vc", 6.0), circuits=circuits)
    assert not changes
    assert note(circuits, page, "k", now=7.0) == [("unreadable", True)]
    assert note(circuits, Denied("no"), "k", now=12.0) == [("unreadable", False)]


def test_probes_that_send_nothing_stay_frequent() -> None:
    """While requests cannot even be made, a probe costs no call, so the next one goes after 5 s each time."""
    circuits, now = Circuits().of(DEFAULT_TARGET, VOICE), 0.0
    assert note(circuits, CredentialsRejected("IllegalCharacter", unsent=True)) == [("credentials", True)]
    for _ in range(10):
        now += circuits.wait(now, 0)
        assert note(circuits, CredentialsRejected("IllegalCharacter", unsent=True), now=now) == []
        assert circuits.wait(now, 0) == PROBE_FIRST_S


# --- tasks that are not found ----------------------------------------------------------------------


def miss(circuits, *keys, since=0.0, now=60.0):
    """These tasks are not found, and the watch of the last one would end now."""
    for key in keys:
        note(circuits, NotFound("NotFoundException"), key, now=since)
    return [(change.name, change.opened) for change in circuits.overdue(since, "NotFoundException", now)]


@pytest.mark.parametrize(("tasks", "opens"), [(1, False), (2, False), (3, True), (50, True)])
def test_tasks_that_are_all_missing_open_before_the_first_of_them_ends(tasks, opens) -> None:
    """Three missing tasks, when nothing was ever found here, are about the Region or the account; fewer are about these tasks."""
    circuits = Circuits().of(DEFAULT_TARGET, VOICE)
    assert miss(circuits, *(f"k{n}" for n in range(tasks))) == ([("not_found", True)] if opens else [])
    assert circuits.nothing_found
    assert not circuits.holding, "other tasks are polled as usual"


@pytest.mark.parametrize(("found_at", "opens"), [(-70.0, True), (-0.1, True), (0.5, False), (59.0, False)])
def test_a_task_found_during_the_grace_period_shows_that_others_are_missing(found_at, opens) -> None:
    """Tasks that disappear together open the circuit, unless something was found while they were missing."""
    circuits = Circuits().of(DEFAULT_TARGET, VOICE)
    note(circuits, GOOD, "k9", now=found_at if found_at < 0 else -5.0)
    note(circuits, NotFound("404"), "k0", now=0.0)
    if found_at > 0:
        note(circuits, GOOD, "k9", now=found_at)
    assert miss(circuits, "k1", "k2", "k3", since=0.0) == ([("not_found", True)] if opens else [])
    assert not circuits.nothing_found


def test_a_short_grace_period_is_no_evidence() -> None:
    """Without a grace period, tasks that are missing a moment after others were found end as usual."""
    circuits = Circuits().of(DEFAULT_TARGET, VOICE)
    note(circuits, GOOD, now=0.0)
    assert miss(circuits, "k1", "k2", "k3", "k4", since=30.0, now=30.0) == []
    assert miss(circuits, "k5", since=61.0, now=61.0) == [("not_found", True)]


@pytest.mark.parametrize("answer", [GOOD, Busy("ConflictException")], ids=["found", "busy"])
def test_a_task_that_is_there_closes_not_found(answer) -> None:
    """A conflict is about a task that exists; a denial, an outage or a further miss shows nothing."""
    circuits = opened("not_found")
    for error in (NotFound("404"), Denied("no"), Unavailable("503"), Throttled("429"), Invalid("400")):
        assert note(circuits, error, now=1.0) == []
    assert note(circuits, answer, now=2.0) == [("not_found", False)]


def test_missing_tasks_are_probed_at_growing_intervals() -> None:
    """From 5 s to a minute; only calls about missing tasks count as probes."""
    circuits, now, gaps = opened("not_found"), 0.0, []
    for _ in range(6):
        gaps.append(circuits.wait_for_missing(now))
        now += gaps[-1]
        circuits.probe_missing(now)
        note(circuits, Throttled("429"), "other", now=now)
    assert gaps == [5.0, 10.0, 20.0, 40.0, PROBE_MAX_S, PROBE_MAX_S]
    assert circuits.wait(now, 0) == 0


@pytest.mark.parametrize("error", [Denied("no"), Unreadable("json")], ids=lambda e: type(e).__name__)
def test_one_call_about_many_tasks_is_one_piece_of_evidence(error) -> None:
    """A batch that fails as a whole opens nothing; the third one that begins with another task and group does."""
    circuits = Circuits().of(DEFAULT_TARGET, BATCH)
    tasks = [(f"k{n}", f"group-{n}") for n in range(100)]
    for n in range(DISTINCT - 1):
        assert circuits.note(error, tasks[n:], 0.0) == []
    assert [change.opened for change in circuits.note(error, tasks[DISTINCT:], 0.0)] == [True]


def test_the_tasks_of_a_denied_batch_count_over_time() -> None:
    """The same three tasks, denied in each call for half a minute, open the circuit, so that their watches do not end."""
    circuits = Circuits().of(DEFAULT_TARGET, BATCH)
    tasks = [(f"k{n}", "batch-job") for n in range(3)]
    assert circuits.note(Denied("no"), tasks, 0.0) == []
    assert [change.name for change in circuits.note(Denied("no"), tasks, DENIED_S)] == ["credentials"]


@given(st.lists(st.tuples(st.sampled_from([e for e in ERRORS if not isinstance(e, CredentialsRejected | Unavailable)]), st.floats(0, 99))))
def test_trouble_with_a_single_task_never_opens_a_circuit(answers) -> None:
    """Whatever the answers for one task are, except for an outage and rejected credentials, other tasks are polled."""
    circuits, now = Circuits().of(DEFAULT_TARGET, VOICE), 0.0
    for error, elapsed in answers:
        now += elapsed
        assert note(circuits, error, now=now) == []
    assert circuits.wait(now, 0) == 0


@pytest.mark.parametrize("name", NAMES)
def test_the_first_good_answer_closes_a_circuit(name) -> None:
    """Once closed, calls are free again, and all conditions must be met anew before the circuit opens again."""
    circuits = opened(name)
    assert max(circuits.wait(0.0, 0), circuits.wait_for_missing(0.0)) == PROBE_FIRST_S
    assert note(circuits, GOOD, now=5.0) == [(name, False)]
    assert (circuits.wait(5.0, 40), circuits.wait_for_missing(5.0)) == (0, 0)
    assert circuits.open == ()
    error = {**OPENERS, "credentials": Denied}[name]("code")
    assert note(circuits, error, now=6.0) == []
    assert circuits.overdue(5.5, "code", 6.0) == []


def test_a_denial_shows_that_credentials_are_accepted_again() -> None:
    """It closes a circuit that rejected credentials opened, so that the watches of two denied tasks can end; a circuit that
    denials opened stays open."""
    circuits = opened("credentials")
    assert note(circuits, Denied("no"), now=5.0) == [("credentials", False)]
    circuits, _ = after(*[(Denied("no"), "k", f"vc-{n}", 0.0) for n in range(3)])
    assert note(circuits, Denied("no"), now=5.0) == []
    assert circuits.open == ("credentials",)
    assert note(circuits, GOOD, now=6.0) == [("credentials", False)]
    assert note(circuits, CredentialsRejected("x"), now=7.0) == [("credentials", True)]
    assert note(circuits, Denied("no"), now=12.0) == [("credentials", False)]


@pytest.mark.parametrize("answer", [Throttled("429"), Denied("no"), Busy("409"), NotFound("404"), Invalid("400")])
def test_an_outage_is_over_when_the_service_answers(answer) -> None:
    """An answer with an error closes the circuit too."""
    assert note(opened("outage"), answer, now=5.0) == [("outage", False)]


@pytest.mark.parametrize("name", HOLD_ALL)
@pytest.mark.parametrize("answer", ERRORS, ids=lambda a: type(a).__name__)
def test_probes_go_one_at_a_time_at_growing_intervals(name, answer) -> None:
    """Whatever a probe fails with, the next one waits twice as long, from 5 s to a minute; a probe in flight holds all other calls."""
    circuits, now, gaps = opened(name), 0.0, []
    while name in circuits.open and len(gaps) < 8:
        gaps.append(circuits.wait(now, 0))
        now += gaps[-1]
        assert circuits.wait(now, 0) == 0
        assert circuits.wait(now, 1) > 0
        note(circuits, answer, now=now)
    assert gaps == [5.0, 10.0, 20.0, 40.0, PROBE_MAX_S, PROBE_MAX_S, PROBE_MAX_S, PROBE_MAX_S][: len(gaps)]
    assert circuits.open or gaps == [5.0]


def test_calls_in_flight_when_a_circuit_opened_are_no_probes() -> None:
    """Their failures neither open the circuit again nor put off the first probe."""
    circuits = opened("credentials")
    changes = [change for n in range(50) for change in note(circuits, CredentialsRejected("x"), f"k{n}", now=n / 25)]
    assert changes == []
    assert circuits.wait(2.0, 0) == pytest.approx(PROBE_FIRST_S - 2.0)


def test_two_open_circuits_wait_for_the_later_probe() -> None:
    """A good answer closes both."""
    circuits = opened("credentials")
    after(*[(Unreadable("x"), f"k{n}", "vc", 4.0) for n in range(3)], circuits=circuits)
    assert circuits.wait(4.0, 0) == PROBE_FIRST_S
    assert sorted(note(circuits, GOOD, now=9.0)) == [("credentials", False), ("unreadable", False)]


# --- what a circuit belongs to ---------------------------------------------------------------------


def test_an_outage_of_one_service_holds_only_its_own_calls() -> None:
    """While another service answers, the circuit opens at the same moment as without it, and the other service's calls are free."""
    circuits = Circuits()
    down, up = circuits.of(DEFAULT_TARGET, VOICE), circuits.of(DEFAULT_TARGET, BATCH)
    changes = []
    for call in outage():
        changes += note(down, *call)
        assert note(up, GOOD, now=call[3]) == []
    assert changes == [("outage", True)]
    assert (down.open, up.open) == (("outage",), ())
    assert down.wait(OUTAGE_S, 0) == PROBE_FIRST_S
    assert up.wait(OUTAGE_S, 9) == 0


@pytest.mark.parametrize("name", ["outage", "unreadable", "not_found"])
@pytest.mark.parametrize("other", [(DEFAULT_TARGET, BATCH), ("eu", VOICE)])
def test_answers_of_another_service_or_target_close_no_circuit(name, other) -> None:
    """They say nothing about this service of this target, and its probe stays due at the same time."""
    circuits = Circuits()
    down = opened(name, circuits.of(DEFAULT_TARGET, VOICE))
    for n in range(10):
        note(circuits.of(*other), GOOD, now=float(n))
    assert down.open == (name,)
    assert max(down.wait(0.0, 0), down.wait_for_missing(0.0)) == PROBE_FIRST_S


def test_unreadable_replies_of_different_services_do_not_add_up() -> None:
    """Two tasks of one service and two of another are two each, and open nothing."""
    circuits = Circuits()
    for service in (VOICE, BATCH):
        for n in range(DISTINCT - 1):
            assert note(circuits.of(DEFAULT_TARGET, service), Unreadable("json"), f"{service}-{n}") == []


def test_expired_credentials_hold_all_services_of_their_target_only() -> None:
    """Each service of the target waits for a probe, the first good answer of any of them closes the circuit, and no other target waits."""
    circuits = Circuits()
    one, two, other = circuits.of(DEFAULT_TARGET, VOICE), circuits.of(DEFAULT_TARGET, BATCH), circuits.of("eu", VOICE)
    assert note(one, CredentialsRejected("ExpiredToken", expired=True)) == [("credentials", True)]
    assert (one.open, two.open, other.open) == (("credentials",), ("credentials",), ())
    assert [each.wait(0.0, 0) for each in (one, two, other)] == [PROBE_FIRST_S, PROBE_FIRST_S, 0]
    assert note(other, GOOD, now=5.0) == []
    assert note(two, GOOD, now=5.0) == [("credentials", False)]
    assert (one.open, two.open) == ((), ())


def test_denials_count_for_all_services_of_a_target() -> None:
    """Three groups denied at three services open the credentials circuit of the target; at three targets they open none."""
    circuits = Circuits()
    changes = [note(circuits.of(DEFAULT_TARGET, f"service-{n}"), Denied("no"), group=f"g{n}") for n in range(3)]
    assert changes == [[], [], [("credentials", True)]]
    assert [note(circuits.of(f"target-{n}", VOICE), Denied("no"), group=f"g{n}") for n in range(3)] == [[], [], []]


def test_a_good_answer_of_another_service_shows_that_not_everything_is_denied() -> None:
    """Denials at one service, while another one of the same target answers, are about permissions and open nothing."""
    circuits = Circuits()
    for n in range(100):
        assert note(circuits.of(DEFAULT_TARGET, VOICE), Denied("no"), f"k{n}", now=float(n)) == []
        assert note(circuits.of(DEFAULT_TARGET, BATCH), GOOD, now=float(n)) == []


def test_the_same_calls_have_the_same_circuits() -> None:
    """Two quotas of one service share what each of them learns."""
    circuits = Circuits()
    assert circuits.of(DEFAULT_TARGET, VOICE) is circuits.of(DEFAULT_TARGET, VOICE)
    assert circuits.of(DEFAULT_TARGET, VOICE) is not circuits.of(DEFAULT_TARGET, BATCH)


@pytest.mark.parametrize(
    ("target", "name", "component"),
    [
        (DEFAULT_TARGET, "credentials", "circuit:credentials"),
        (DEFAULT_TARGET, "outage", "circuit:outage:chime-sdk-voice"),
        ("eu", "credentials", "circuit:credentials:eu"),
        ("eu", "unreadable", "circuit:unreadable:chime-sdk-voice:eu"),
    ],
)
def test_a_change_names_its_health_component(target, name, component) -> None:
    """The name says what the circuit belongs to, and the closing change has the code that opened the circuit."""
    circuits = opened(name, Circuits().of(target, VOICE))
    (closed,) = circuits.note(GOOD, [("k", "vc")], 5.0)
    assert (closed.component, closed.opened, closed.code) == (component, False, "code")


targets, services = st.sampled_from([DEFAULT_TARGET, "eu"]), st.sampled_from([VOICE, BATCH])
calls = st.tuples(targets, services, st.sampled_from([GOOD, *ERRORS]), st.integers(0, 4), st.floats(0, 30))


@given(st.lists(calls, max_size=80))
def test_the_changes_are_those_of_the_open_circuits(answers) -> None:
    """For each circuit, openings and closings alternate, and a good answer leaves none open that holds the same calls."""
    circuits, now, states = Circuits(), 0.0, {}
    for target, service, error, place, elapsed in answers:
        now += elapsed
        of_call = circuits.of(target, service)
        changes = of_call.note(error, [(f"k{place}", f"vc{place}")], now)
        if isinstance(error, NotFound):
            changes += of_call.overdue(now - 90, "code", now)
        for change in changes:
            assert states.get(change.component, False) != change.opened
            states[change.component] = change.opened
            assert (change.target, change.service) == (target, None if change.name == "credentials" else service)
        suffix = "" if target == DEFAULT_TARGET else f":{target}"
        components = {name: f"circuit:{name}{'' if name == 'credentials' else f':{service}'}{suffix}" for name in NAMES}
        assert of_call.open == tuple(name for name in NAMES if states.get(components[name], False))
        assert 0 <= of_call.wait(now, 0) <= PROBE_MAX_S
        assert 0 <= of_call.wait_for_missing(now) <= PROBE_MAX_S
        assert error is not GOOD or not of_call.open


# --- expired credentials ---------------------------------------------------------------------------


def test_credentials_are_refreshed_once_for_each_expiry() -> None:
    """Calls that began with the old credentials cause no further refresh, whether they are rejected or answered."""
    circuits = Circuits().of(DEFAULT_TARGET, VOICE)
    assert circuits.may_refresh(1.0)
    assert not circuits.may_refresh(1.5), "a refresh is in progress"
    circuits.refreshed(2.0)
    circuits.accepted(1.8)
    assert not circuits.may_refresh(1.9)
    assert not circuits.may_refresh(2.1), "the new credentials are rejected too: another refresh would fetch the same"
    circuits.accepted(2.2)
    assert not circuits.may_refresh(1.95), "it began before the refresh: the credentials have changed since"
    assert circuits.may_refresh(3.0)


def test_services_of_a_target_share_one_refresh() -> None:
    """A call to another service causes no second refresh; another target refreshes its own credentials."""
    circuits = Circuits()
    assert circuits.of(DEFAULT_TARGET, VOICE).may_refresh(1.0)
    assert not circuits.of(DEFAULT_TARGET, BATCH).may_refresh(1.0)
    assert circuits.of("eu", VOICE).may_refresh(1.0)


def test_an_open_circuit_reports_another_cause() -> None:
    """A renewed token with a wrong key is another problem than the expired one; the probes go on as before."""
    circuits = opened("credentials")
    assert note(circuits, CredentialsRejected("code"), now=5.0) == []
    [change] = circuits.note(CredentialsRejected("SignatureDoesNotMatch"), [("k", "vc")], 15.0)
    assert (change.component, change.opened, change.code) == ("circuit:credentials", True, "SignatureDoesNotMatch")
    assert circuits.wait(15.0, 0) == 20.0
    [change] = circuits.note(GOOD, [("k", "vc")], 35.0)
    assert (change.opened, change.code) == (False, "SignatureDoesNotMatch")


# --- calls about several tasks ---------------------------------------------------------------------


def test_batches_that_are_denied_count_as_denials() -> None:
    """A failed call about several tasks is judged by its cause: three groups that are denied show that the credentials are wrong."""
    circuits = Circuits().of(DEFAULT_TARGET, BATCH)
    for n in range(2):
        assert circuits.note(BatchFailed(Denied("no")), [(f"k{n}{m}", f"g{n}") for m in range(9)], 0.0) == []
    assert [change.name for change in circuits.note(BatchFailed(Denied("no")), [("k2", "g2")], 1.0)] == ["credentials"]


def test_a_reply_that_is_too_large_is_no_evidence_against_the_service() -> None:
    """Calls about fewer tasks follow: neither many such replies open a circuit, nor does one close more than an outage."""
    circuits, cause = Circuits().of(DEFAULT_TARGET, BATCH), Unreadable("200")
    cause.oversized = True
    for n in range(8):
        assert circuits.note(BatchFailed(cause), [(f"k{n}", "g"), ("l", "g")], n * 20.0) == []
    for n in range(3):
        circuits.note(Unreadable("shape"), [(f"k{n}", "g")], 200.0 + n)
    assert circuits.note(BatchFailed(cause), [("k", "g"), ("l", "g")], 210.0) == []
    assert circuits.open == ("unreadable",)


def test_a_batch_that_is_invalid_is_an_answer() -> None:
    """It closes an outage, and nothing was found or missed."""
    circuits = Circuits().of(DEFAULT_TARGET, BATCH)
    for n in range(8):
        circuits.note(Unavailable("503"), [("k", "g")], n * 20.0)
    assert circuits.open == ("outage",)
    circuits.note(BatchFailed(Invalid("bad")), [("k", "g"), ("l", "g")], 200.0)
    assert (circuits.open, circuits.nothing_found) == ((), True)
