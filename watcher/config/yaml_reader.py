"""Reads the text of a configuration file into a RawConfig, with `${NAME}` references expanded."""

from __future__ import annotations

import shlex
from collections.abc import Mapping

from watcher.config.messages import type_name
from watcher.config.raw_config import RawConfig, SourceLine
from watcher.config.references import expand
from watcher.yaml_text import parse_yaml_text


def read_yaml(text: str, raw_config: RawConfig, environ: Mapping[str, str]) -> None:
    """Fill in the values and their lines. Raises ConfigMistakes at once if the text gives no values to check further."""
    parsed = parse_yaml_text(text, lambda scalar: expand(scalar, environ))
    raw_config.origins.update({path: SourceLine(raw_config.file, line) for path, line in parsed.lines.items()})
    raw_config.environment_texts.update(parsed.substituted)
    for path, line, what in parsed.mistakes:
        raw_config.add_mistake(path, what, SourceLine(raw_config.file, line))
    if isinstance(parsed.data, dict):
        raw_config.values = parsed.data
    elif not parsed.mistakes:
        if parsed.data is None:
            raw_config.add_mistake((), f"is empty; fill it with: watcher init --force {shlex.quote(raw_config.file)}")
        else:
            raw_config.add_mistake((), f"expected a mapping with sources and sinks, got {type_name(parsed.data)}")
    if not raw_config.values:
        raw_config.raise_mistakes()
