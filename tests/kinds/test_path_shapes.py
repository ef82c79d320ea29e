"""JMESPath expressions followed through the shapes of an API."""

from __future__ import annotations

import pytest

from watcher.kinds.api_model import Shape, list_of, object_of
from watcher.kinds.path_shapes import shape_found

ITEM = object_of({"Name": Shape("string"), "At": Shape("timestamp"), "Tags": Shape("map", load=lambda: {"": Shape("string")})})
REPLY = object_of({"Items": list_of(ITEM), "One": ITEM, "Rows": list_of(list_of(ITEM)), "Any": None})


@pytest.mark.parametrize(
    ("text", "type_"),
    [
        ("One.Name", "string"),
        ("Items[0].At", "timestamp"),
        ("Items[*].Name", "list"),
        ("Items[*].Name | [0]", "string"),
        ("Rows[].Name | [0]", "string"),
        ("Items[?Name == 'x'] | [0].At", "timestamp"),
        ("Items[1:].Name | [-1]", "string"),
        ("One.Tags.anything", "string"),
        ("One.Tags.* | [0]", "string"),
        ("One.{a: Name, b: At}.b", "timestamp"),
        ("[One, One][1].Name", "string"),
        ("One.Missing || One.Name", None),
        ('One.Name || `"none"`', "string"),
        ("One.Name && One.At", "timestamp"),
        ("!One", "boolean"),
        ("length(Items)", "number"),
        ("sort_by(Items, &Name)[0].Name", "string"),
        ("max_by(Items, &At).Name", "string"),
        ("map(&Name, Items)[0]", "string"),
        ("not_null(One.Name, 'x')", "string"),
        ("join(',', Items[*].Name)", "string"),
        ("Any.thing[0].else", None),
        ("merge(One, One).Name", None),
        ("keys(One)[0]", "string"),
        ("@.One.Name", "string"),
        ("One.Name == 'x'", "boolean"),
    ],
)
def test_the_shape_of_what_an_expression_finds(text: str, type_: str | None) -> None:
    """Each construct of JMESPath is followed as far as the shapes say, and finds any shape where they do not."""
    notes: list[str] = []
    found = shape_found(text, REPLY, notes.append)
    assert (found and found.type) == type_
    assert bool(notes) == ("Missing" in text)


@pytest.mark.parametrize(
    "text", ["sort_by(Items, &Nam)", "Items[?Nam == 'x']", "[One.Nam]", "{a: One.Nam}", "One.Nam || 'x'", "Items[].Nam", "map(&Nam, Items)"]
)
def test_a_name_is_checked_wherever_it_is(text: str) -> None:
    """A name that does not exist is a mistake inside filters, functions, and alternatives too."""
    notes: list[str] = []
    shape_found(text, REPLY, notes.append)
    assert notes == ["the value before it has no member Nam; did you mean Name?"]
