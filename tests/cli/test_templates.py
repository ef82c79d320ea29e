"""The files that `watcher init` writes: what they show in comments is valid and current."""

from __future__ import annotations

import re

import pytest
from ruamel.yaml import YAML

from watcher.cli.init import TEMPLATES
from watcher.config import Settings, defaults, parse

COMMENTED = (TEMPLATES / "commented.yaml").read_text(encoding="utf-8")
load_yaml = YAML(typ="safe", pure=True).load


def examples() -> list[str]:
    """The lines of settings that are commented out, as YAML."""
    return [line.lstrip().removeprefix("# ") for line in COMMENTED.splitlines() if re.match(r"\s*# (- \{|[a-z]+: [\[{])", line)]


def test_the_commented_file_shows_each_section() -> None:
    """Each section of the configuration is in the file, set or in a comment."""
    shown = {key for text in examples() if not text.startswith("-") for key in load_yaml(text)}
    assert shown | set(load_yaml(COMMENTED)) == set(Settings.model_fields) - {"aws"}


@pytest.mark.parametrize("text", [text for text in examples() if text.startswith("-")])
def test_each_alternative_is_valid(text: str) -> None:
    """Each source and sink in a comment is accepted in place of those of the file."""
    key = "sources" if "speaker-search-tasks" in text else "sinks"
    whole = {"sources": "sources: [{type: lines}]", "sinks": "sinks: [{type: jsonl}]"}
    whole[key] = f"{key}:\n  {text}"
    environment = {"HOOK_SECRET": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"}
    assert getattr(parse("\n".join(whole.values()), "commented.yaml", environment), key)


@pytest.mark.parametrize("text", [text for text in examples() if text.startswith("store")])
def test_each_other_store_is_valid(text: str) -> None:
    """Each store in a comment is accepted in place of that of the file."""
    [(_, section)] = load_yaml(text).items()
    settings = parse(f"sources: [{{type: lines}}]\nsinks: [{{type: jsonl}}]\n{text}\n", "commented.yaml", {})
    assert settings.store.type == section["type"]


@pytest.mark.parametrize("text", [text for text in examples() if not text.startswith("-") and "store" not in text])
def test_each_setting_in_a_comment_is_the_default(text: str) -> None:
    """A section in a comment has the defaults, except for the port, which has none. A list is valid."""
    [(key, section)] = load_yaml(text).items()
    settings = parse(f"sources: [{{type: lines}}]\nsinks: [{{type: jsonl}}]\n{text}\n", "commented.yaml", {})
    for name in section if isinstance(section, dict) and key != "api" else ():
        assert getattr(getattr(settings, key), name) == getattr(getattr(defaults().settings, key), name), f"{key}.{name}"


def test_no_line_is_longer_than_a_wide_screen() -> None:
    """The files can be read without wrapping at 130 columns."""
    assert [line for file in TEMPLATES.glob("*.yaml") for line in file.read_text(encoding="utf-8").splitlines() if len(line) > 130] == []
