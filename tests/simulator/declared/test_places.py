from __future__ import annotations

import re
from typing import Any

import pytest

from watcher.kinds.paths import Expression
from watcher.simulator.declared.errors import text_with
from watcher.simulator.declared.models import load_api
from watcher.simulator.declared.places import Place, list_place_of, place_of, places_read, put, remove, shape_at, wrapped
from watcher.simulator.declared.status_members import StatusMembers


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("@", ()),
        ("Status.State", ("Status", "State")),
        ("jobs[0]", ("jobs", 0)),
        ("attempts[-1].reason", ("attempts", 0, "reason")),
        ("FailureReason || ExitMessage", ("FailureReason",)),
        ("State == 'READY' && LastCrawl.Status", ("LastCrawl", "Status")),
        ("phases[*].contexts[] | [?message].message | [0]", ("phases", 0, "contexts", 0, "message")),
        ("'a constant'", None),
    ],
)
def test_a_value_at_the_place_of_an_expression_is_what_it_finds(text: str, place: Place | None) -> None:
    """The place of an expression is known, and a value that is written there is found."""
    expression = Expression(text)
    assert place_of(expression) == place
    if place:
        task: dict[str, Any] = {"State": "READY"}
        put(task, place, "x")
        assert expression.find(task) == "x"


@pytest.mark.parametrize("text", ["jobs", "Reservations[].Instances[]", "a.b[*].c", "Tasks[?Id]"])
def test_a_list_at_its_place_has_all_tasks(text: str) -> None:
    """An expression finds all elements of a list that is written at its place."""
    place = list_place_of(Expression(text))
    assert place is not None
    elements = [{"Id": "1", "c": 1}, {"Id": "2", "c": 2}]
    found = Expression(text).find(wrapped(place if text != "a.b[*].c" else ("a", "b"), elements))
    assert found == (elements if text != "a.b[*].c" else [1, 2])


def test_all_places_that_a_result_reads_are_known() -> None:
    """Conditions, alternatives, objects, and elements of lists are read; what is inside another place is its only mention."""
    text = "Status == 'DONE' && {uri: Output.Uri || `null`, ids: Disks[*].Ebs.Id, count: length(Items)} || Disks"
    assert set(places_read(Expression(text))) == {("Status",), ("Output", "Uri"), ("Disks", 0, "Ebs", "Id"), ("Items",)}


def test_a_member_is_removed_where_it_is() -> None:
    """Removing what is not there changes nothing."""
    task = {"a": {"b": 1, "c": 2}, "list": [{"x": 1}]}
    for place in (("a", "b"), ("a", "z", "z"), ("list", 0, "x"), ("none", 0, "x")):
        remove(task, place)
    assert task == {"a": {"c": 2}, "list": [{}]}


@pytest.mark.parametrize(
    ("status", "members"),
    [
        ("RUNNING", {("lastStatus",): "RUNNING"}),
        ("STOPPED", {("lastStatus",): "STOPPED", ("stopCode",): "EssentialContainerExited", ("containers", 0, "exitCode"): 0}),
    ],
)
def test_the_members_of_a_computed_status_are_found(status: str, members: object) -> None:
    """A status that a kind computes from several members is shown by values of them, and a literal of it is no such value."""
    shape = shape_at(load_api("ecs").operation("describe_tasks").output_shape, ("tasks", 0))
    text = "lastStatus == 'STOPPED' && (stopCode != 'EssentialContainerExited' || containers[?exitCode != `0`]) && 'CRASHED' || lastStatus"
    found = StatusMembers(Expression(text), shape)
    assert found.of(status) == members
    assert found.of("CRASHED")[("lastStatus",)] == "STOPPED"
    with pytest.raises(ValueError, match="is NEVER"):
        StatusMembers(Expression("lastStatus == 'STOPPED' && 'A' || 'B'"), shape).of("NEVER")


@pytest.mark.parametrize(
    "pattern",
    ["does not exist", "(?i)not found|missing", "couldn't be found", r"^Stack with id \S+ does not exist$", r"Unknown job: .*\.", "x"],
)
def test_an_error_has_a_text_in_which_the_pattern_is_found(pattern: str) -> None:
    """The text about a missing task fits the pattern that a kind declares."""
    assert re.search(pattern, text_with(re.compile(pattern), "my-job"))
