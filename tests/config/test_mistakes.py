"""Each way to get a configuration wrong, made once: one file per mistake in `tests/data/config`.

A file says on its first lines what the environment holds (`# environ: NAME=value`) and what must be answered
(`# expect: file:line: key: what is wrong, what would be right`).
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


def said(text: str, word: str) -> list[str]:
    """What the first lines of a file say behind this word."""
    return [line.removeprefix(f"# {word}: ") for line in text.splitlines() if line.startswith(f"# {word}: ")]


def mistakes(text: str, name: str, environ: dict[str, str] | None = None) -> list[str]:
    with pytest.raises(ConfigMistakes) as caught:
        parse(text, name, environ or {})
    return list(caught.value.mistakes)


@pytest.mark.parametrize("file", sorted(DATA.glob("*.yaml")), ids=lambda file: file.stem)
def test_a_bad_file_is_answered_word_for_word(file: Path) -> None:
    """Every mistake of a file is told at once: where it is, its key, what is wrong and what would be right."""
    text = file.read_text(encoding="utf-8")
    environ = dict(line.split("=", 1) for line in said(text, "environ"))
    environ = {name: value.replace("\\udcff", os.fsdecode(b"\xff")) for name, value in environ.items()}

    found = mistakes(text, file.name, environ)

    assert found == said(text, "expect")
    for line in found:
        assert SHAPE.fullmatch(line)
        assert not JARGON.search(line)
        assert "canary" not in line


def test_there_are_bad_files() -> None:
    """The test above is not vacuous."""
    assert len(list(DATA.glob("*.yaml"))) > 80


def test_a_missing_file_is_a_mistake(tmp_path: Path) -> None:
    """A path that leads nowhere is named, with where to begin."""
    with pytest.raises(ConfigMistakes) as caught:
        load(tmp_path / "watcher.yaml", {})
    assert caught.value.mistakes == (
        f"{tmp_path}/watcher.yaml:1: file: does not exist; config/minimal.yaml is a configuration to begin with",
    )


def test_a_directory_is_a_mistake(tmp_path: Path) -> None:
    """A directory is no configuration."""
    with pytest.raises(ConfigMistakes, match="is a directory; name a YAML file in it"):
        load(tmp_path, {})


def test_a_path_with_a_null_byte_is_a_mistake() -> None:
    """What no operating system can open is a mistake like any other."""
    with pytest.raises(ConfigMistakes, match="cannot be read"):
        load("a\0b", {})


def test_an_empty_file_is_a_mistake(tmp_path: Path) -> None:
    """A file of no bytes is called empty, not asked for sources."""
    (tmp_path / "watcher.yaml").write_bytes(b"")
    with pytest.raises(ConfigMistakes, match=r":1: file: is empty; config/minimal\.yaml"):
        load(tmp_path / "watcher.yaml", {})


def test_a_file_that_is_not_utf8_is_told_with_its_line(tmp_path: Path) -> None:
    """The line of the first bad byte is named."""
    (tmp_path / "watcher.yaml").write_bytes(GOOD.encode() + b"store: {path: \xff}\n")
    with pytest.raises(ConfigMistakes, match=r":3: file: is not UTF-8; save it as UTF-8"):
        load(tmp_path / "watcher.yaml", {})


def test_a_byte_order_mark_is_no_mistake(tmp_path: Path) -> None:
    """Some editors write one."""
    (tmp_path / "watcher.yaml").write_bytes(codecs.BOM_UTF8 + GOOD.encode())
    assert load(tmp_path / "watcher.yaml", {}).sources[0].type == "lines"


@pytest.mark.parametrize("filler", ["x", "ä"])
def test_a_file_over_one_mebibyte_is_refused_unread(tmp_path: Path, filler: str) -> None:
    """The bound holds also where it cuts a character in two."""
    (tmp_path / "watcher.yaml").write_text(GOOD + "#" + filler * (1 << 20), encoding="utf-8")
    with pytest.raises(ConfigMistakes, match="larger than 1 MiB"):
        load(tmp_path / "watcher.yaml", {})


def test_a_mistake_hides_no_other_within_its_section() -> None:
    """Keys that contradict each other are told also where a third key of their section is wrong."""
    found = mistakes(GOOD + "cadence: {min_gap: 30, max_gap: 20, evry: 5, price_floor: -1}\n", "w.yaml")
    assert [line.split(": ")[1] for line in found] == ["cadence.evry", "cadence.min_gap", "cadence.price_floor"]


def test_a_contradiction_with_a_mistaken_value_is_left_for_later() -> None:
    """A value that is wrong itself contradicts nothing: its default would, and nobody wrote that."""
    found = mistakes(GOOD + "cadence: {type: fixed, every: 1, min_gap: 5parsec}\n", "w.yaml")
    assert len(found) == 1
    assert "cadence.min_gap: a duration is" in found[0]


@pytest.mark.parametrize("word", ["on", "off", "yes", "no", "True", '"true"', "1"])
def test_only_true_and_false_are_booleans(word: str) -> None:
    """YAML 1.1's other words for them are mistakes, not guesses."""
    found = mistakes(f"sources: [{{type: lines}}]\nsinks: [{{type: jsonl, fsync: {word}}}]\n", "w.yaml")
    assert found[0].startswith("w.yaml:2: sinks[0].fsync: true or false is needed")


@pytest.mark.parametrize("where", ["file", "reference", "override"])
def test_a_secret_is_never_repeated(where: str) -> None:
    """However a secret comes in, and however wrong it is, no mistake shows it."""
    canary = "canary-1"
    text = GOOD + {"file": f"events: {{hash_key: {canary}}}", "reference": 'events: {hash_key: "${KEY}"}', "override": ""}[where]
    environ = {"KEY": canary, **({"WATCHER_EVENTS__HASH_KEY": canary} if where == "override" else {})}
    found = mistakes(text, "w.yaml", environ)
    assert len(found) == 1
    assert "at least 16 characters are needed" in found[0]
    assert canary not in found[0]
