"""What the word behind `type:` in a configuration stands for: three literal tables.

A new adapter is one file and one line here. Nothing else in the watcher names an adapter.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from watcher.adapters.aws.session import AwsClients
from watcher.adapters.sinks.eventbridge import EventBridgeSink, EventBridgeSinkSettings
from watcher.adapters.sinks.jsonl import JsonlSink, JsonlSinkSettings
from watcher.adapters.sinks.sns import SnsSink, SnsSinkSettings
from watcher.adapters.sinks.sqs import SqsSink, SqsSinkSettings
from watcher.adapters.sinks.webhook import WebhookSink, WebhookSinkSettings
from watcher.adapters.sources.lines import LinesSource, LinesSourceSettings
from watcher.adapters.sources.sqs import SqsSource, SqsSourceSettings
from watcher.adapters.stores.memory import MemoryStore, MemoryStoreSettings
from watcher.adapters.stores.sqlite import SqliteStore, SqliteStoreSettings
from watcher.section import Section


@dataclass(frozen=True)
class World:
    """What adapters share. `clock` gives seconds since the epoch."""

    aws: AwsClients
    clock: Callable[[], float]


@dataclass(frozen=True)
class Entry:
    """One adapter: what may be said about it, and how it is made of that. `build` opens nothing."""

    settings: type[Section]
    build: Callable[[Any, World], Any]


SOURCES: Mapping[str, Entry] = {
    "sqs": Entry(SqsSourceSettings, lambda settings, world: SqsSource(settings, world.aws)),
    "lines": Entry(LinesSourceSettings, lambda settings, world: LinesSource(settings)),
}

STORES: Mapping[str, Entry] = {
    "memory": Entry(MemoryStoreSettings, lambda settings, world: MemoryStore(settings)),
    "sqlite": Entry(SqliteStoreSettings, lambda settings, world: SqliteStore(settings)),
}

SINKS: Mapping[str, Entry] = {
    "jsonl": Entry(JsonlSinkSettings, lambda settings, world: JsonlSink(settings)),
    "webhook": Entry(WebhookSinkSettings, lambda settings, world: WebhookSink(settings, clock=world.clock)),
    "sqs": Entry(SqsSinkSettings, lambda settings, world: SqsSink(settings, world.aws)),
    "sns": Entry(SnsSinkSettings, lambda settings, world: SnsSink(settings, world.aws)),
    "eventbridge": Entry(EventBridgeSinkSettings, lambda settings, world: EventBridgeSink(settings, world.aws)),
}
