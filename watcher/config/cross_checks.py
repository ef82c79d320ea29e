"""Settings that are right one by one and wrong together. Pure: paths are compared as they are written, no file is touched."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from os.path import abspath
from typing import Any

from watcher.config.raw_config import Path, dotted
from watcher.section import Section

Finding = tuple[Path, tuple[Path, ...], str]
"""The key to blame, the keys it does not go with, and what is wrong."""


def cross_checks(valid: Mapping[Path, Section], broken: Collection[Path]) -> Iterator[tuple[Path, str]]:
    """What does not go together. A finding that rests on a key with a mistake of its own is left for the next time."""
    for rule in (_cadence, _port, _names, _files, _queues):
        for path, others, what in rule(valid):
            if not {path, *others} & set(broken):
                yield path, what


def _cadence(valid: Mapping[Path, Section]) -> Iterator[Finding]:
    cadence: Any = valid.get(("cadence",))
    if cadence is None:
        return
    type_, every, least, most = (("cadence", key) for key in ("type", "every", "min_gap", "max_gap"))
    if cadence.min_gap > cadence.max_gap:
        yield least, (most,), f"{cadence.min_gap:g} s is more than max_gap ({cadence.max_gap:g} s); the least gap is the smaller one"
    if cadence.type == "backoff" and cadence.every > cadence.max_gap:
        yield every, (type_, most), f"{cadence.every:g} s is more than max_gap ({cadence.max_gap:g} s), up to which backoff doubles it"
    if cadence.type != "accrual" and cadence.every < cadence.min_gap:
        yield every, (type_, least), f"{cadence.every:g} s is less than min_gap ({cadence.min_gap:g} s), below which nothing is asked"


def _port(valid: Mapping[Path, Section]) -> Iterator[Finding]:
    api: Any = valid.get(("api",))
    if api is not None and api.listen and int(api.listen.rpartition(":")[2]) > 65_535:
        yield ("api", "listen"), (), "a port is a number up to 65535, as in 127.0.0.1:8080"


def _names(valid: Mapping[Path, Section]) -> Iterator[Finding]:
    """Cursors, metrics and dead letters go by name."""
    first: dict[tuple[Any, str], Path] = {}
    for path, entry in valid.items():
        if name := getattr(entry, "name", None):
            other = first.setdefault((path[0], name), path)
            if other != path:
                yield (*path, "name"), ((*other, "name"),), f"{dotted(other)} has the name {name!r} too; give each its own"


def _files(valid: Mapping[Path, Section]) -> Iterator[Finding]:
    """One file, one use."""
    first: dict[tuple[str, str], Path] = {}
    for path, entry in valid.items():
        name = str(getattr(entry, "path", "") or "")
        if name in ("", ":memory:"):
            continue
        use = (str(path[0]), "-") if name == "-" else ("", abspath(name))
        other = first.setdefault(use, path)
        if other != path:
            where = {"sources": "standard input", "sinks": "standard output"}.get(str(path[0]), "it") if name == "-" else "this file"
            yield (*path, "path"), ((*other, "path"),), f"{dotted(other)} uses {where} already; each needs its own"


def _queues(valid: Mapping[Path, Section]) -> Iterator[Finding]:
    """Events sent to the queue that tasks come from would come back as inputs."""
    sources = {getattr(entry, "queue_url", None): path for path, entry in valid.items() if path[0] == "sources"}
    for path, entry in valid.items():
        url = getattr(entry, "queue_url", None)
        if path[0] == "sinks" and url is not None and url in sources:
            other = sources[url]
            yield (*path, "queue_url"), ((*other, "queue_url"),), f"{dotted(other)} receives from this queue; events need another one"
