"""Each mistake in a configuration has a file in `tests/data/config`.

The first lines of a file give the environment (`# environ: NAME=value`) and the mistakes that it must report
(`# expect: file:line: key: what is wrong; what to do`). An expectation that ends in `...` is the start of a mistake
whose rest is written beside an adapter.
"""

from __future__ import annotations

import codecs
import os
import re
from pathlib import Path

import pytest

from watcher.config import load, parse
from watcher.errors import ConfigMistakes

DATA = Path(__file__).parent.parent / "data" / "config"
GOOD = "sources: [{type: lines}]\nsinks: [{type: jsonl}]\n"
SHAPE = re.compile(r"(\S+\.yaml:\d+: \S+|environment: WATCHER_\w+): .+")
JARGON = re.compile(r"pydantic|validation|Input should|Field required|Extra inputs|errors\.", re.IGNORECASE)


def header(text: str, word: str) -> list[str]:
    """Return the first lines of a file that start with this word."""
    return [line.removeprefix(f"# {word}: ") for line in text.splitlines() if line.startswith(f"# {word}: ")]


def mistakes(text: str, name: str, environ: dict[str, str] | None = None) -> list[str]:
    with pytest.raises(ConfigMistakes) as caught:
        parse(text, name, environ or {})
    return list(caught.value.mistakes)


@pytest.mark.parametrize("file", sorted(DATA.glob("*.yaml")), ids=lambda file: file.stem)
def test_a_file_reports_its_mistakes(file: Path) -> None:
    """A file reports all its mistakes at once: where each is, its key, what is wrong and what to do."""
    text = file.read_text(encoding="utf-8")
    environ = dict(line.split("=", 1) for line in header(text, "environ"))
    environ = {name: value.replace("\\udcff", os.fsdecode(b"\xff")) for name, value in environ.items()}

    found = mistakes(text, file.name, environ)

    expected = header(text, "expect")
    assert [
        line if not want.endswith("...") else line[: len(want) - 3] + "..." for line, want in zip(found, expected, strict=True)
    ] == expected
    for line in found:
        assert SHAPE.fullmatch(line)
        assert not JARGON.search(line)
        assert "canary" not in line


def test_there_are_bad_files() -> None:
    """The test above has files to read."""
    assert len(list(DATA.glob("*.yaml"))) > 80


def test_a_missing_file_is_a_mistake(tmp_path: Path) -> None:
    """A file that does not exist is reported with what to do."""
    with pytest.raises(ConfigMistakes) as caught:
        load(tmp_path / "watcher.yaml", {})
    assert caught.value.mistakes == (
        f"{tmp_path}/watcher.yaml:1: file: does not exist; check the path, or create it with: watcher init {tmp_path}/watcher.yaml",
    )


def test_a_directory_is_a_mistake(tmp_path: Path) -> None:
    """A directory in place of a file is reported."""
    with pytest.raises(ConfigMistakes, match="is a directory; give the path of a YAML file"):
        load(tmp_path, {})


def test_a_path_with_a_null_byte_is_a_mistake() -> None:
    """A path that the operating system cannot open is reported."""
    with pytest.raises(ConfigMistakes, match="cannot be read"):
        load("a\0b", {})


def test_an_empty_file_is_a_mistake(tmp_path: Path) -> None:
    """An empty file is reported as empty, not as one without sources."""
    (tmp_path / "watcher.yaml").write_bytes(b"")
    with pytest.raises(ConfigMistakes, match=r":1: file: is empty; fill it with: watcher init --force "):
        load(tmp_path / "watcher.yaml", {})


def test_a_file_that_is_not_utf8_is_reported_with_its_line(tmp_path: Path) -> None:
    """The line of the first invalid byte is reported."""
    (tmp_path / "watcher.yaml").write_bytes(GOOD.encode() + b"store: {path: \xff}\n")
    with pytest.raises(ConfigMistakes, match=r":3: file: not valid UTF-8; save the file as UTF-8"):
        load(tmp_path / "watcher.yaml", {})


def test_a_byte_order_mark_is_no_mistake(tmp_path: Path) -> None:
    """A file may start with a byte order mark, which some editors write."""
    (tmp_path / "watcher.yaml").write_bytes(codecs.BOM_UTF8 + GOOD.encode())
    assert load(tmp_path / "watcher.yaml", {}).sources[0].type == "lines"


@pytest.mark.parametrize("filler", ["x", "ä"])
def test_a_file_over_one_mebibyte_is_not_read(tmp_path: Path, filler: str) -> None:
    """A file larger than the limit is reported, also if the limit cuts a character in two."""
    (tmp_path / "watcher.yaml").write_text(GOOD + "#" + filler * (1 << 20), encoding="utf-8")
    with pytest.raises(ConfigMistakes, match="larger than the limit of 1 MiB"):
        load(tmp_path / "watcher.yaml", {})


def test_a_mistake_hides_no_other_within_its_section() -> None:
    """Keys that conflict are reported also if a third key of their section is invalid."""
    found = mistakes(GOOD + "cadence: {min_gap: 30, max_gap: 20, evry: 5, price_floor: -1}\n", "w.yaml")
    assert [line.split(": ")[1] for line in found] == ["cadence.evry", "cadence.min_gap", "cadence.price_floor"]


def test_an_invalid_value_conflicts_with_nothing() -> None:
    """An invalid value is reported alone, not as a conflict of its default with another key."""
    found = mistakes(GOOD + "cadence: {type: fixed, every: 1, min_gap: 5parsec}\n", "w.yaml")
    assert len(found) == 1
    assert "cadence.min_gap: expected a duration" in found[0]


@pytest.mark.parametrize("word", ["on", "off", "yes", "no", "True", '"true"', "1"])
def test_only_true_and_false_are_booleans(word: str) -> None:
    """Other words and values for true and false are mistakes."""
    found = mistakes(f"sources: [{{type: lines}}]\nsinks: [{{type: jsonl, fsync: {word}}}]\n", "w.yaml")
    assert found[0].startswith("w.yaml:2: sinks[0].fsync: expected true or false")


@pytest.mark.parametrize("where", ["file", "reference", "override"])
def test_a_secret_is_never_repeated(where: str) -> None:
    """No mistake repeats an invalid secret, whether it comes from the file, a reference or an override."""
    canary = "canary-1"
    text = GOOD + {"file": f"events: {{hash_key: {canary}}}", "reference": 'events: {hash_key: "${KEY}"}', "override": ""}[where]
    environ = {"KEY": canary, **({"WATCHER_EVENTS__HASH_KEY": canary} if where == "override" else {})}
    found = mistakes(text, "w.yaml", environ)
    assert len(found) == 1
    assert "expected at least 16 characters" in found[0]
    assert canary not in found[0]
