"""The schema of results, for kinds that declare them in other ways than those of the watcher."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from watcher.kinds.member_types import Types
from watcher.kinds.paths import Expression, parse_path
from watcher.kinds.result_schema import result_schema
from watcher.kinds.results import Mode, ResultRules

TYPES = {"Out.Text": "string", "Out.Size": "number", "Items[*].Id": "string", "Items[*].Tags[*]": "string", "Free": "object"}
RESULTS = {
    "a member": "Out",
    "an object": "{text: Out.Text, size: Out.Size}",
    "an object of a part": "Out.{text: Text, other: Size}",
    "alternatives": "Out.{text: Text} || {items: Items[*].Id}",
    "a condition": "Out.Text && {text: Out.Text, tags: Items[*].{id: Id, tags: Tags[*]}} || `null`",
    "constants": '{text: Out.Text || `"none"`, ok: `true`, items: Items[*].Id || `[]`, empty: `[]`, none: `null`}',
    "functions": "{number: length(Items || `[]`), names: keys(Out || `{}`), same: @.Out, first: Items[0], all: Items[].Id}",
    "anything": "Free",
    "a member of anything": "{deep: Free.a.b, list: Free.a[*].b, other: Unknown.x}",
}
strings = st.text(max_size=4)
free = st.recursive(
    st.none() | st.integers() | strings,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from("abx"), inner, max_size=2),
    max_leaves=5,
)
items = st.fixed_dictionaries({}, optional={"Id": st.none() | strings, "Tags": st.none() | st.lists(strings, max_size=2)})
tasks = st.fixed_dictionaries(
    {},
    optional={
        "Out": st.none() | st.fixed_dictionaries({}, optional={"Text": st.none() | strings, "Size": st.none() | st.integers()}),
        "Items": st.none() | st.lists(items, max_size=2),
        "Free": st.none() | st.dictionaries(st.sampled_from("abx"), free, max_size=2),
        "Unknown": free,
    },
)
modes = st.sampled_from(["full", "hashed", "count", "none"])


def digest(identifier: str) -> str:
    return "sha256:" + hashlib.sha256(identifier.encode("utf-8", "replace")).hexdigest()


def shown(rules: ResultRules, task: dict[str, Any], mode: Mode) -> Any:
    """What an event shows of the result of a task; None for a reply that cannot be read."""
    try:
        return rules.redact(rules.read(task), mode, digest)
    except ValueError:
        return None


@pytest.mark.parametrize("text", RESULTS.values(), ids=RESULTS)
@given(task=tasks, mode=modes, count=st.sampled_from([None, "{n: length(items || `[]`), text: text}", "{size: size}"]))
def test_it_accepts_whatever_an_expression_finds(text: str, task: dict[str, Any], mode: Mode, count: str | None) -> None:
    """The result of any task whose members have their declared types, under each setting of `events.results`, has the schema."""
    private = tuple(map(parse_path, ("text", "items[*]", "tags[*].id", "size", "other", "Text", "a")))
    rules = ResultRules(Expression(text), Types.of(TYPES), None, None if count is None else Expression(count), private)
    Draft202012Validator(result_schema(rules)).validate(shown(rules, task, mode))


def test_it_says_what_the_declared_types_imply() -> None:
    """A condition and a list of objects have the types of the members that they are made of, and null stands for no result."""
    rules = ResultRules(Expression(RESULTS["a condition"]), Types.of(TYPES))
    element = result_schema(rules)["anyOf"][0]["properties"]["tags"]["anyOf"][0]["items"]
    assert element["properties"]["id"] == {"type": ["string", "null"]}
    assert element["properties"]["tags"]["anyOf"][0] == {"type": "array", "items": {"type": "string"}}
    assert result_schema(rules)["anyOf"][-1] == {"type": "null"}


@pytest.mark.parametrize("value", ["text", {"text": 5, "tags": []}, {"text": "a"}, {"text": "a", "tags": [{"id": 1, "tags": None}]}])
def test_it_rejects_what_an_expression_cannot_find(value: Any) -> None:
    """A value of another type, or without a member of the object."""
    rules = ResultRules(Expression(RESULTS["a condition"]), Types.of(TYPES))
    assert not Draft202012Validator(result_schema(rules)).is_valid(value)


def test_a_kind_without_results_has_null() -> None:
    """Without an expression there is no result under any setting."""
    assert result_schema(ResultRules()) == {"type": "null"}
