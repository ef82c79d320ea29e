"""When to stop asking: on trouble that is ours or the service's, never on trouble of one task."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from watcher.core.polling.circuits import DENIED_S, NAMES, OUTAGE_CALLS, OUTAGE_S, PROBE_FIRST_S, PROBE_MAX_S, Circuits
from watcher.errors import Busy, CredentialsRejected, Denied, Invalid, NotFound, Throttled, Unavailable, Unreadable

GOOD = None
ERRORS = [error("code") for error in (Throttled, Unavailable, Busy, NotFound, Denied, Invalid, CredentialsRejected, Unreadable)]


def noted(*answers, circuits=None):
    """The circuits after (error, task, connector, at) each, and what changed on the way."""
    circuits = circuits or Circuits()
    return circuits, [change for answer in answers for change in circuits.note(*answer)]


def outage(calls=OUTAGE_CALLS, over=OUTAGE_S):
    return [(Unavailable("503"), f"k{n}", "vc", over * n / (calls - 1)) for n in range(calls)]


def opened(name):
    """Circuits of which this one is open, at 0."""
    circuits = Circuits()
    for n in range(3):
        error = {"credentials": CredentialsRejected, "outage": Unavailable, "unreadable": Unreadable}[name]("code")
        circuits.note(error, f"k{n}", "vc", -2 * OUTAGE_S if name == "outage" else 0.0)
    if name == "outage":
        circuits.note(Unavailable("code"), "k", "vc", -1.0)
        circuits.note(Unavailable("code"), "k", "vc", 0.0)
    assert list(circuits.open) == [name]
    return circuits


@pytest.mark.parametrize(("calls", "over", "opens"), [(5, 60, True), (500, 59.9, False), (4, 600, False), (5, 600, True), (1000, 61, True)])
def test_an_outage_is_a_minute_of_nothing_else(calls, over, opens) -> None:
    """Five calls and sixty seconds of nothing but Unavailable open the circuit, once; fewer or shorter do not."""
    circuits, changes = noted(*outage(calls, over))
    assert changes == ([("outage", True)] if opens else [])
    assert ("outage" in circuits.open) == opens


@pytest.mark.parametrize("answer", [GOOD, *(e for e in ERRORS if not isinstance(e, Unavailable))], ids=lambda a: type(a).__name__)
def test_any_answer_in_between_is_no_outage(answer) -> None:
    """A service that answers at all, be it with a refusal, is not down."""
    calls = outage(100, 70)
    _, changes = noted(*calls[:50], (answer, "k", "vc", 35.0), *calls[50:])
    assert ("outage", True) not in changes


def test_bad_credentials_open_at_once() -> None:
    """They are never one task's fault."""
    circuits, changes = noted((CredentialsRejected("ExpiredToken", expired=True), "k", "vc", 0.0))
    assert changes == [("credentials", True)]
    assert "credentials" in circuits.open
    assert circuits.open["credentials"].code == "ExpiredToken"


def test_denials_on_three_connectors_are_about_our_credentials() -> None:
    """The third connector opens the credential circuit, whatever the number of calls on the first two."""
    circuits, changes = noted(*[(Denied("no"), f"k{n}", f"vc-{n % 2}", 0.1 * n) for n in range(20)])
    assert not changes
    assert circuits.note(Denied("no"), "k", "vc-9", 3.0) == [("credentials", True)]


def test_denials_of_all_that_was_asked_lately_are_about_our_credentials() -> None:
    """Also on the only connector there is: three tasks, half a minute, and nothing but denials."""
    _, changes = noted(*[(Denied("no"), f"k{n % 3}", "vc", n * DENIED_S / 6) for n in range(7)])
    assert changes == [("credentials", True)]


def test_denials_beside_good_answers_are_about_one_connector() -> None:
    """One connector is denied and another works: nothing opens, however long."""
    calls = [(Denied("no") if n % 3 else GOOD, f"k{n % 7}", "vc-denied" if n % 3 else "vc", 1.0 * n) for n in range(1000)]
    assert noted(*calls)[1] == []


def test_unreadable_replies_of_three_tasks_open() -> None:
    """Garbage for one or two tasks is theirs; for a third it is the way to the service."""
    circuits, changes = noted(*[(Unreadable("no_task"), f"k{n % 2}", "vc", float(n)) for n in range(50)])
    assert not changes
    assert circuits.note(Unreadable("no_task"), "k9", "vc", 60.0) == [("unreadable", True)]


@given(st.lists(st.tuples(st.sampled_from([e for e in ERRORS if not isinstance(e, CredentialsRejected | Unavailable)]), st.floats(0, 99))))
def test_the_trouble_of_a_single_task_never_opens_one(answers) -> None:
    """Whatever one task is answered, short of an outage or bad credentials, other tasks go on."""
    circuits, now = Circuits(), 0.0
    for error, gone in answers:
        now += gone
        assert circuits.note(error, "k", "vc", now) == []
    assert circuits.wait(now, 0) == 0


@pytest.mark.parametrize("name", ["credentials", "outage", "unreadable"])
def test_the_first_good_answer_closes_it(name) -> None:
    """Closed, calls go freely again, and it takes all of its reasons anew to open."""
    circuits = opened(name)
    assert circuits.wait(0.0, 0) == PROBE_FIRST_S
    assert circuits.note(GOOD, "k", "vc", 5.0) == [(name, False)]
    assert circuits.wait(5.0, 40) == 0
    assert "credentials" not in circuits.open
    error = {"credentials": Denied, "outage": Unavailable, "unreadable": Unreadable}[name]("code")
    assert circuits.note(error, "k", "vc", 6.0) == []


def test_a_denial_shows_that_credentials_are_taken_again() -> None:
    """Who is denied is known: after credentials that were refused it closes their circuit, so that two denied tasks can end;
    a circuit that denials opened stays as it is."""
    circuits = opened("credentials")
    assert circuits.note(Denied("no"), "k", "vc", 5.0) == [("credentials", False)]
    circuits, _ = noted(*[(Denied("no"), "k", f"vc-{n}", 0.0) for n in range(3)])
    assert circuits.note(Denied("no"), "k", "vc", 5.0) == []
    assert "credentials" in circuits.open


@pytest.mark.parametrize("answer", [Throttled("429"), Denied("no"), Busy("409"), NotFound("404"), Invalid("400")])
def test_an_outage_is_over_when_the_service_answers(answer) -> None:
    """Also when the answer is a no."""
    assert opened("outage").note(answer, "k", "vc", 5.0) == [("outage", False)]


@pytest.mark.parametrize("name", ["credentials", "outage", "unreadable"])
@pytest.mark.parametrize("answer", ERRORS, ids=lambda a: type(a).__name__)
def test_probes_go_one_at_a_time_ever_less_often(name, answer) -> None:
    """Whatever a probe fails with, the next waits twice as long, from 5 s to a minute; one in flight holds back all others."""
    circuits, now, gaps = opened(name), 0.0, []
    while name in circuits.open and len(gaps) < 8:
        gaps.append(circuits.wait(now, 0))
        now += gaps[-1]
        assert circuits.wait(now, 0) == 0
        assert circuits.wait(now, 1) > 0
        circuits.note(answer, "k", "vc", now)
    assert gaps == [5.0, 10.0, 20.0, 40.0, PROBE_MAX_S, PROBE_MAX_S, PROBE_MAX_S, PROBE_MAX_S][: len(gaps)]
    assert circuits.open or gaps == [5.0]


def test_calls_that_were_under_way_when_it_opened_are_no_probes() -> None:
    """Their failures neither open it again nor put the first probe off."""
    circuits = opened("credentials")
    changes = [change for n in range(50) for change in circuits.note(CredentialsRejected("x"), f"k{n}", "vc", n / 25)]
    assert changes == []
    assert circuits.wait(2.0, 0) == pytest.approx(PROBE_FIRST_S - 2.0)


def test_two_open_circuits_wait_for_the_later_probe() -> None:
    """And a good answer closes both."""
    circuits = opened("credentials")
    noted(*[(Unreadable("x"), f"k{n}", "vc", 4.0) for n in range(3)], circuits=circuits)
    assert circuits.wait(4.0, 0) == PROBE_FIRST_S
    assert sorted(circuits.note(GOOD, "k", "vc", 9.0)) == [("credentials", False), ("unreadable", False)]


@given(st.lists(st.tuples(st.sampled_from([GOOD, *ERRORS]), st.integers(0, 4), st.floats(0, 30)), max_size=80))
def test_what_it_says_changed_is_what_changed(answers) -> None:
    """Openings and closings alternate for each circuit, each has its hint, and a good answer leaves none open."""
    circuits, now, states = Circuits(), 0.0, dict.fromkeys(NAMES, False)
    for error, place, gone in answers:
        now += gone
        for name, state in circuits.note(error, f"k{place}", f"vc{place}", now):
            assert states[name] != state
            states[name] = state
        assert {name for name, state in states.items() if state} == set(circuits.open)
        assert 0 <= circuits.wait(now, 0) <= PROBE_MAX_S
        assert error is not GOOD or not circuits.open


def test_one_refresh_for_each_expiry() -> None:
    """Calls that began with the old credentials bring no other, whether they are refused or answered."""
    circuits = Circuits()
    assert circuits.may_refresh(1.0)
    assert not circuits.may_refresh(1.5), "it is under way"
    circuits.refreshed_at = 2.0
    circuits.accepted(1.8)
    assert not circuits.may_refresh(1.9)
    assert not circuits.may_refresh(2.1), "fresh ones are refused too: another refresh would bring the same"
    circuits.accepted(2.2)
    assert circuits.may_refresh(3.0)
