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
class AdapterContext:
    """What adapters share. `clock` gives seconds since the epoch."""

    aws: AwsClients
    clock: Callable[[], float]


@dataclass(frozen=True)
class AdapterType:
    """One adapter: what may be said about it, and how it is made of that. `build` opens nothing."""

    settings: type[Section]
    build: Callable[[Any, AdapterContext], Any]


SOURCES: Mapping[str, AdapterType] = {
    "sqs": AdapterType(SqsSourceSettings, lambda settings, context: SqsSource(settings, context.aws)),
    "lines": AdapterType(LinesSourceSettings, lambda settings, context: LinesSource(settings)),
}

STORES: Mapping[str, AdapterType] = {
    "memory": AdapterType(MemoryStoreSettings, lambda settings, context: MemoryStore(settings)),
    "sqlite": AdapterType(SqliteStoreSettings, lambda settings, context: SqliteStore(settings)),
}

SINKS: Mapping[str, AdapterType] = {
    "jsonl": AdapterType(JsonlSinkSettings, lambda settings, context: JsonlSink(settings)),
    "webhook": AdapterType(WebhookSinkSettings, lambda settings, context: WebhookSink(settings, clock=context.clock)),
    "sqs": AdapterType(SqsSinkSettings, lambda settings, context: SqsSink(settings, context.aws)),
    "sns": AdapterType(SnsSinkSettings, lambda settings, context: SnsSink(settings, context.aws)),
    "eventbridge": AdapterType(EventBridgeSinkSettings, lambda settings, context: EventBridgeSink(settings, context.aws)),
}
