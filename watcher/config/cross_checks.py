"""Finds settings that are valid alone and conflict with each other. Pure: compares paths as text and reads no file."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from os.path import abspath
from typing import Any

from watcher.config.conflict import Conflict, Sections
from watcher.config.kind_conflicts import find_kind_conflicts
from watcher.section import local_file
from watcher.yaml_text import KeyPath, dotted


def find_conflicts(sections: Sections, invalid_paths: Collection[KeyPath]) -> Iterator[Conflict]:
    """Return all conflicts but those in which a key has a mistake of its own: its value is not what the user means."""
    for check in (_check_cadence, _check_port, _check_names, _check_files, _check_queues, _check_token_sinks, find_kind_conflicts):
        for conflict in check(sections):
            if not any(at[: len(key)] == key for at in invalid_paths for key in (conflict.key, *conflict.others)):
                yield conflict


def _check_cadence(sections: Sections) -> Iterator[Conflict]:
    cadence: Any = sections.get(("cadence",))
    if cadence is None:
        return
    type_, every, low, high = (("cadence", key) for key in ("type", "every", "min_gap", "max_gap"))
    if cadence.min_gap > cadence.max_gap:
        yield Conflict(low, (high,), f"{cadence.min_gap:g} s is more than max_gap ({cadence.max_gap:g} s); lower min_gap or raise max_gap")
    if cadence.type == "backoff" and cadence.every > cadence.max_gap:
        yield Conflict(
            every, (type_, high), f"{cadence.every:g} s is more than max_gap ({cadence.max_gap:g} s); lower every or raise max_gap"
        )
    if cadence.type != "accrual" and cadence.every < cadence.min_gap:
        yield Conflict(
            every, (type_, low), f"{cadence.every:g} s is less than min_gap ({cadence.min_gap:g} s); raise every or lower min_gap"
        )


def _check_port(sections: Sections) -> Iterator[Conflict]:
    api: Any = sections.get(("api",))
    if api is not None and api.listen and int(api.listen.rpartition(":")[2]) > 65_535:
        yield Conflict(("api", "listen"), (), "expected a port of at most 65535, as in 127.0.0.1:8080")


def _check_names(sections: Sections) -> Iterator[Conflict]:
    """Positions, metrics and dead letters are stored by name, so no two entries of a list may share one."""
    first: dict[tuple[Any, str], KeyPath] = {}
    for path, section in sections.items():
        if name := getattr(section, "name", None):
            other = first.setdefault((path[0], name), path)
            if other != path:
                what = f'{dotted(other)} already has the name "{name}"; give each its own'
                yield Conflict((*path, "name"), ((*other, "name"),), what)


def _check_files(sections: Sections) -> Iterator[Conflict]:
    """No two sections may use the same file, standard input or standard output."""
    first: dict[tuple[str, str], KeyPath] = {}
    for path, section in sections.items():
        name = local_file(section)
        if name in (None, ":memory:"):
            continue
        use = (str(path[0]), "-") if name == "-" else ("", abspath(name))
        other = first.setdefault(use, path)
        if other != path:
            file = {"sources": "standard input", "sinks": "standard output"}.get(str(path[0]), "it") if name == "-" else "this file"
            yield Conflict((*path, "path"), ((*other, "path"),), f"{dotted(other)} already uses {file}; give each its own path")


def _check_queues(sections: Sections) -> Iterator[Conflict]:
    """Events sent to a queue that is also a source would be received as inputs."""
    sources = {getattr(section, "queue_url", None): path for path, section in sections.items() if path[0] == "sources"}
    for path, section in sections.items():
        url = getattr(section, "queue_url", None)
        if path[0] == "sinks" and url is not None and url in sources:
            other = sources[url]
            what = f"{dotted(other)} already receives from this queue; send events to another queue"
            yield Conflict((*path, "queue_url"), ((*other, "queue_url"),), what)


def _check_token_sinks(sections: Sections) -> Iterator[Conflict]:
    """An execution takes one answer: a second sink would get each of them refused."""
    first: KeyPath | None = None
    for path, section in sections.items():
        if path[0] != "sinks" or getattr(section, "type", None) != "stepfunctions":
            continue
        if first is None:
            first = path
        else:
            what = f"{dotted(first)} already answers the task tokens; keep one sink of this type"
            yield Conflict((*path, "type"), ((*first, "type"),), what)
