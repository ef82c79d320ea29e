"""All settings in one object. Each section is defined beside the code it configures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, get_args

from pydantic import Field, GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema

from watcher.adapters.aws.settings import AwsSettings, TargetSettings
from watcher.api.settings import ApiSettings
from watcher.core.delivery.events import EventSettings
from watcher.core.polling.cadence import CadenceSettings
from watcher.core.polling.pace import PaceSettings
from watcher.core.polling.transitions import WatchSettings
from watcher.kinds.form import KindForm
from watcher.observe.settings import LogSettings
from watcher.registry import SINKS, SOURCES, STORES, AdapterType
from watcher.runtime.settings import Limits
from watcher.section import Section


@dataclass(frozen=True)
class OneOf:
    """The settings of one adapter out of a table of the registry; `type` says which.

    Validation imports the adapter that `type` names, the JSON Schema all adapters of the table.
    """

    table: Mapping[str, AdapterType]

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Validate by the class that `type` names."""
        return core_schema.no_info_plain_validator_function(self._validate)

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """Describe a union of all adapters of the table with `type` as the discriminator."""
        choices = {word: adapter.settings.__pydantic_core_schema__ for word, adapter in self.table.items()}
        return handler(core_schema.tagged_union_schema(choices, discriminator="type"))

    def _validate(self, value: Any) -> Section:
        word = value.get("type") if isinstance(value, dict) else getattr(value, "type", None)
        if not isinstance(word, str) or word not in self.table:
            raise ValueError(f"unknown type {word!r}; use one of: {', '.join(self.table)}")
        return self.table[word].settings.model_validate(value)


def _default_store() -> Section:
    return STORES["sqlite"].settings()


class Settings(Section):
    """The configuration of the watcher."""

    sources: tuple[Annotated[Any, OneOf(SOURCES)], ...]
    """Where task ids come from, one entry for each source. `type` is sqs or lines. With `api.listen`, there may be none."""
    store: Annotated[Any, OneOf(STORES)] = Field(default_factory=_default_store)
    """Where watches and undelivered events are kept across restarts."""
    sinks: tuple[Annotated[Any, OneOf(SINKS)], ...]
    """Where events are delivered, one entry for each sink. An outage of one sink delays only that sink. With `api.listen` and a durable
    store, there may be none: readers then get the events over HTTP."""
    watch: WatchSettings = WatchSettings()
    """How long a task is watched, and how ambiguous statuses are treated."""
    pace: PaceSettings = PaceSettings()
    """How many calls per second are made under each quota of the service."""
    cadence: CadenceSettings = CadenceSettings()
    """When each task is polled again."""
    events: EventSettings = EventSettings()
    """How much of a task's results an event contains."""
    limits: Limits = Limits()
    """Limits on watches, events, calls and time. At a limit intake pauses; nothing is dropped."""
    kinds: tuple[KindForm, ...] = ()
    """Kinds of tasks in addition to the shipped ones, one entry for each kind."""
    targets: tuple[TargetSettings, ...] = ()
    """Accounts and Regions whose tasks are polled in addition to the watcher's own, one entry for each target."""
    aws: AwsSettings = AwsSettings()
    """How AWS is called. Region, credentials and endpoints come from AWS's own environment variables and files."""
    api: ApiSettings = ApiSettings()
    """Health, readiness and metrics over HTTP."""
    logs: LogSettings = LogSettings()
    """The level and format of logs. They go to stderr."""


TABLES: Mapping[str, Mapping[str, AdapterType]] = {"sources": SOURCES, "store": STORES, "sinks": SINKS}
"""The keys that hold adapters, and the adapters that their `type` may name."""
LISTS: Mapping[str, type[Section]] = {"kinds": KindForm, "targets": TargetSettings}
"""The keys that hold lists of sections without a `type`, which may be empty."""


def section_of(key: str) -> type[Section] | None:
    """Return the class of a section that has no `type`."""
    annotation = Settings.model_fields[key].annotation
    return annotation if isinstance(annotation, type) and issubclass(annotation, Section) else None


def section_in(annotation: Any) -> type[Section] | None:
    """Return the class of the sections that a field holds: one, one or null, a list, or a mapping of them. None for other fields."""
    if isinstance(annotation, type) and issubclass(annotation, Section):
        return annotation
    return next(filter(None, map(section_in, get_args(annotation))), None)


def schema() -> dict[str, Any]:
    """Return the JSON Schema of the configuration file, for editors and other tools."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **Settings.model_json_schema()}
