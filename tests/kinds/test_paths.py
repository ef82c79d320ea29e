"""JMESPath expressions, paths to members, and declared types."""

import copy

import jmespath
import pytest
from hypothesis import given
from hypothesis import strategies as st

from watcher.kinds.member_types import Types
from watcher.kinds.paths import EACH, Expression, parse_path, replaced, truthy

EXPRESSIONS = [
    "A", "A.B", '"A".B.A', "A[*].B", "A[0]", "A[].B", "A[?B=='x'].A", "A | B", "A || B", "A && B", "!A", "@", "*", "A.*", "[*]", "[A, B]",
    "{a: A, b: B.A}", "A.{b: B}", "length(A)", "type(B)", "sort_by(A, &B)", "A[1:]", "keys(@)", "`5`", "A == `null`", "not_null(A, B)",
    "max(A[*].B)", "A.B || `[]`",
]  # fmt: skip
values = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 2) | st.sampled_from(["", "x"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("AB"), inner, max_size=2),
    max_leaves=12,
)


@given(st.sampled_from(EXPRESSIONS), values)
def test_an_expression_finds_what_jmespath_finds(text, value) -> None:
    """Direct lookups and shortcuts for absent members change nothing; where jmespath raises, a ValueError hides the value."""
    before = copy.deepcopy(value)
    try:
        expected = jmespath.search(text, value)
    except (ValueError, TypeError):
        with pytest.raises(ValueError, match="does not fit the value"):
            Expression(text).find(value)
    else:
        assert Expression(text).find(value) == expected
    assert value == before


@given(values)
def test_truth_is_that_of_jmespath(value) -> None:
    """0 is true there, and what is empty is false."""
    assert truthy(value) == (jmespath.search("!!@", value))


@pytest.mark.parametrize(
    ("text", "path"),
    [("a", ("a",)), ("a.b", ("a", "b")), ("a[*].b", ("a", EACH, "b")), ("a.b[*].c[*].d.e", ("a", "b", EACH, "c", EACH, "d", "e")),
     ('"x-y"[*]', ("x-y", EACH))],
)  # fmt: skip
def test_a_path_is_read_into_its_parts(text, path) -> None:
    """Names, and each element of a list."""
    assert parse_path(text) == path


@pytest.mark.parametrize("text", ["@", "a[0]", "a || b", "a[].b", "a.*", "length(a)", "`1`", "a[?b]"])
def test_other_expressions_are_no_paths(text) -> None:
    """They do not say where a value is."""
    with pytest.raises(ValueError, match="expected names joined by dots"):
        parse_path(text)


@given(st.sampled_from(["A", "A.B", "A[*].B", "B[*]", "A[*].A[*].B"]), values)
def test_what_a_path_finds_is_replaced_and_nothing_else(text, value) -> None:
    """With the same replacement the value stays as it is, and the argument is never changed."""
    before = copy.deepcopy(value)
    assert replaced(value, parse_path(text), lambda found: found) == value
    kept: list[object] = []
    after = replaced(value, parse_path(text), lambda found: kept.append(found))
    expected = jmespath.search(text, value)
    flat = [expected] if "[*]" not in text else expected
    if text.count("[*]") < 2:
        assert [found for found in kept if found is not None] == [found for found in flat or [] if found is not None]
        assert not jmespath.search(text, after)
    assert value == before


def test_types_of_absent_members_are_right() -> None:
    """A member may be missing or null; what it is inside of is then not looked at."""
    types = Types.of({"A.B[*].C": "string"})
    for good in ({}, {"A": None}, {"A": {"B": None}}, {"A": {"B": [{}, {"C": None}, {"C": "x"}]}}):
        types.check(good)
    for bad in ({"A": 5}, {"A": {"B": {}}}, {"A": {"B": [None]}}, {"A": {"B": [{"C": 5}]}}):
        with pytest.raises(ValueError, match="is not"):
            types.check(bad)
