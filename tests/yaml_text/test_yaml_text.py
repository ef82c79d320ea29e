from __future__ import annotations

import subprocess
import sys

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from watcher.errors import ConfigMistakes
from watcher.yaml_text import MAX_ALIASES, MAX_BYTES, MAX_DEPTH, MAX_VALUES, dotted, parse_yaml_text, plain_value, read_yaml_text

any_speed = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])  # passes on a machine of any speed

TEXT = """\
kinds:
  - name: transcription   # a comment
    size: 100
    statuses: {QUEUED: open, COMPLETED: succeeded}
    result: "{uri: Transcript.TranscriptFileUri}"
    batch: null
"""


def mistakes(text: str) -> list[str]:
    return [f"{line}: {dotted(path)}: {what}" for path, line, what in parse_yaml_text(text).mistakes]


def test_a_text_becomes_plain_data() -> None:
    """Mappings, lists and scalars become dict, list, str, int, float, bool and None."""
    kind = {
        "name": "transcription",
        "size": 100,
        "statuses": {"QUEUED": "open", "COMPLETED": "succeeded"},
        "result": "{uri: Transcript.TranscriptFileUri}",
        "batch": None,
    }
    assert read_yaml_text(TEXT, "kinds.yaml") == {"kinds": [kind]}


def test_an_empty_text_is_none() -> None:
    """A text without values gives None."""
    assert read_yaml_text("# only a comment\n", "kinds.yaml") is None


def test_each_value_has_its_line() -> None:
    """The line of a value is that of its key, or its own in a list."""
    lines = parse_yaml_text(TEXT).lines
    assert lines[("kinds",)] == 1
    assert lines["kinds", 0] == lines["kinds", 0, "name"] == 2
    assert lines["kinds", 0, "statuses", "COMPLETED"] == 4


def test_all_mistakes_are_raised_at_once() -> None:
    """ConfigMistakes has the file, the line and the key of every mistake."""
    with pytest.raises(ConfigMistakes) as caught:
        read_yaml_text("a: 1\nb:\n  - {c: 1, c: 2}\na: !x 2\n? [d]\n", "kinds.yaml")
    assert caught.value.mistakes == (
        'kinds.yaml:3: b[0].c: duplicate key "c", first defined on line 3; remove one',
        'kinds.yaml:4: a: duplicate key "a", first defined on line 1; remove one',
        "kinds.yaml:5: file: expected a string as a key, got a list",
    )


@pytest.mark.parametrize(
    ("word", "value"),
    [
        ("5", 5),
        ("-5", -5),
        ("+5", 5),
        ("007", 7),
        ("2.5", 2.5),
        (".5", 0.5),
        ("1e3", 1000.0),
        ("true", True),
        ("false", False),
        ("null", None),
        ("~", None),
        ("", None),
        ("9" * 301, "9" * 301),
        ("5\n", "5\n"),
        *(
            (word, word)
            for word in ("True", "yes", "on", "0x1F", "0o7", "1_000", "1:30", "2026-11-22", ".inf", ".nan", "=", "<<", "-", "+", ".")
        ),
    ],
)
def test_a_scalar_without_quotes_has_a_type(word: str, value: object) -> None:
    """Decimal numbers, true, false and null are values; every other word is a string."""
    found = plain_value(word)
    assert (type(found), found) == (type(value), value)


def test_quotes_and_the_str_tag_make_a_string() -> None:
    """A scalar in quotes, a block scalar and a scalar with the tag !!str are strings."""
    assert read_yaml_text("[\"5\", 'true', !!str 5, !!str ]", "w.yaml") == ["5", "true", "5", ""]
    assert read_yaml_text("a: |\n  5\n", "w.yaml") == {"a": "5\n"}


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('a: "x" y\n', "1: file: unexpected text after a value; put the whole value in quotes"),
        ("a: @b\n", "1: file: a value cannot start with this character; put the value in quotes"),
        ("a: `b`\n", "1: file: a value cannot start with this character; put the value in quotes"),
        ("a: }\n", "1: file: expected a value; put a value that starts with this character in quotes"),
        ("a: *\n", "1: file: expected a name after *; put a value that starts with * in quotes"),
        ("a: &\n", "1: file: expected a name after &; put a value that starts with & in quotes"),
        ("a: - b\n", "1: file: a list entry cannot start here; start it on a new line"),
        ("a: |x\n  b\n", "1: file: unexpected text after | or >; start the text on the next line"),
        (
            'a: "\\UFFFFFFFF"\n',
            '1: file: invalid escape in a string with double quotes; use single quotes, or write "\\\\" for a backslash',
        ),
        ('a: "\\uD800"\n', "1: a: not valid UTF-8 text; replace the invalid characters"),
        ("%YAML 2.0\n---\na: 1\n", "1: file: unsupported YAML version; remove the %YAML line"),
        ("a: 1\n...\nb: 2\n", "3: file: a second document starts here (---); keep one document in a file"),
        ("a: !x! b\n", "1: file: not valid YAML: while parsing an tag, expected URI, but found ' '"),
    ],
)
def test_a_syntax_error_says_what_to_do(text: str, found: str) -> None:
    """A syntax error has its line, what is wrong and what to do; ruamel.yaml's own words stay for the rarest ones."""
    assert mistakes(text) == [found]


def test_the_limits_are_exact() -> None:
    """A text at each limit is read, and one above it is a mistake."""
    at_limit = {
        "levels": "[" * MAX_DEPTH + "]" * MAX_DEPTH,
        "values": f"[{'x, ' * (MAX_VALUES - 1)}]",
        "aliases": f"[&a x, {'*a, ' * MAX_ALIASES}]",
        "MiB": "x" * MAX_BYTES,
    }
    above = {
        "levels": f"[{at_limit['levels']}]",
        "values": f"[{'x, ' * MAX_VALUES}]",
        "aliases": f"[&a x, {'*a, ' * (MAX_ALIASES + 1)}]",
        "MiB": "x" * (MAX_BYTES + 1),
    }
    assert {name: mistakes(text) for name, text in at_limit.items()} == {name: [] for name in at_limit}
    for name, text in above.items():
        (found,) = mistakes(text)
        assert "than the limit of" in found
        assert name in found


def test_a_later_anchor_replaces_an_earlier_one() -> None:
    """An alias repeats the latest value of its anchor."""
    assert read_yaml_text("[&a 1, *a, &a 2, *a]", "w.yaml") == [1, 1, 2, 2]


def test_a_substitution_comes_before_the_type() -> None:
    """`substitute` changes a scalar before it gets its type; quotes keep it a string."""
    parsed = parse_yaml_text("{a: X, b: 'X', c: Y}", lambda text: (text.replace("X", "5"), []))
    assert parsed.data == {"a": 5, "b": "5", "c": "Y"}
    assert parsed.substituted == {("a",): "5"}


def test_a_key_in_a_mistake_is_short_and_printable() -> None:
    """A key in a mistake has at most 120 characters and none that a terminal acts on."""
    assert dotted(("sinks", 0, "path")) == "sinks[0].path"
    assert dotted(("a\x1b[31m",)) == "a?[31m"
    assert len(dotted(("x" * 500,))) == 120
    assert dotted(()) == "file"


@any_speed
@given(st.text(alphabet=st.sampled_from("ab:-{}[]\"'#&*!|>%@`,\n\t 0.?\\<~uU\u0085\u2028\ufeff\ud800"), max_size=60))
def test_any_text_is_data_or_mistakes(text: str) -> None:
    """Any text gives data or mistakes, and raises nothing."""
    assert parse_yaml_text(text) is not None


def test_importing_the_package_does_not_import_ruamel() -> None:
    """ruamel.yaml is imported at the first use, so that modules that may read YAML are cheap to import."""
    code = "import sys, watcher.yaml_text; print('ruamel.yaml' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"
