"""The adapters by the word behind `type:` in a configuration: three tables.

A new adapter is one file and one line here; no other module names it. A line holds names only. The adapter's module is
imported when its `type` is used, so a command imports the adapters of its configuration and no others.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from watcher.adapters.aws.session import AwsClients
    from watcher.section import Section


@dataclass(frozen=True)
class AdapterContext:
    """What adapters share. `clock` returns seconds since the epoch."""

    aws: AwsClients
    clock: Callable[[], float]


@dataclass(frozen=True)
class AdapterType:
    """One adapter: its class as `module:Class`, and the fields of AdapterContext that its constructor takes after its settings.

    The settings are the class `ClassSettings` of the same module.
    """

    path: str
    takes: tuple[str, ...] = ()

    @property
    def adapter(self) -> Any:
        """The adapter's class. Imports its module."""
        return self._load()

    @property
    def settings(self) -> type[Section]:
        """The class of the adapter's settings. Imports its module."""
        settings: type[Section] = self._load("Settings")
        return settings

    def build(self, settings: Section, context: AdapterContext) -> Any:
        """Return the adapter for these settings. Opens nothing."""
        return self.adapter(settings, **{name: getattr(context, name) for name in self.takes})

    def _load(self, suffix: str = "") -> Any:
        module, _, name = self.path.partition(":")
        try:
            return getattr(import_module(module), name + suffix)
        except (ModuleNotFoundError, AttributeError) as error:
            raise ImportError(f'watcher/registry.py: "{self.path}": {name + suffix} cannot be imported: {error}') from error


SOURCES: Mapping[str, AdapterType] = {
    "sqs": AdapterType("watcher.adapters.sources.sqs:SqsSource", takes=("aws",)),
    "lines": AdapterType("watcher.adapters.sources.lines:LinesSource"),
}

STORES: Mapping[str, AdapterType] = {
    "memory": AdapterType("watcher.adapters.stores.memory:MemoryStore"),
    "sqlite": AdapterType("watcher.adapters.stores.sqlite:SqliteStore"),
    "postgres": AdapterType("watcher.adapters.stores.postgres:PostgresStore"),
}

SINKS: Mapping[str, AdapterType] = {
    "jsonl": AdapterType("watcher.adapters.sinks.jsonl:JsonlSink"),
    "webhook": AdapterType("watcher.adapters.sinks.webhook:WebhookSink", takes=("clock",)),
    "sqs": AdapterType("watcher.adapters.sinks.sqs:SqsSink", takes=("aws",)),
    "sns": AdapterType("watcher.adapters.sinks.sns:SnsSink", takes=("aws",)),
    "eventbridge": AdapterType("watcher.adapters.sinks.eventbridge:EventBridgeSink", takes=("aws",)),
    "kinesis": AdapterType("watcher.adapters.sinks.kinesis:KinesisSink", takes=("aws",)),
    "lambda": AdapterType("watcher.adapters.sinks.lambda_:LambdaSink", takes=("aws",)),
    "stepfunctions": AdapterType("watcher.adapters.sinks.stepfunctions:StepFunctionsSink", takes=("aws",)),
}
