"""All settings in one object. What a section means stands beside the code it configures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import Field, GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema

from watcher.adapters.aws.settings import AwsSettings
from watcher.api.settings import ApiSettings
from watcher.core.delivery.events import EventSettings
from watcher.core.polling.cadence import CadenceSettings
from watcher.core.polling.pace import PaceSettings
from watcher.core.polling.transitions import WatchSettings
from watcher.observe.logs import LogSettings
from watcher.registry import SINKS, SOURCES, STORES, AdapterType
from watcher.runtime.settings import Limits
from watcher.section import Section


@dataclass(frozen=True)
class OneOf:
    """One adapter's settings; its `type` says which, by a table of the registry."""

    table: Mapping[str, AdapterType]

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """A union told apart by `type`, in the validation and in the JSON Schema."""
        choices = {word: handler.generate_schema(entry.settings) for word, entry in self.table.items()}
        return core_schema.tagged_union_schema(choices, discriminator="type")


def _default_store() -> Any:
    return STORES["sqlite"].settings.model_validate({"type": "sqlite"})


class Settings(Section):
    """The watcher's configuration."""

    sources: tuple[Annotated[Any, OneOf(SOURCES)], ...] = Field(min_length=1)
    """Where task ids come from. Each entry names its `type`: sqs or lines."""
    store: Annotated[Any, OneOf(STORES)] = Field(default_factory=_default_store)
    """What remembers watches and undelivered events over a restart."""
    sinks: tuple[Annotated[Any, OneOf(SINKS)], ...] = Field(min_length=1)
    """Where events go. Each sink has its own cursor: one that is down delays only itself."""
    watch: WatchSettings = WatchSettings()
    """How long a task is watched, and what its odd statuses mean."""
    pace: PaceSettings = PaceSettings()
    """How fast all calls may go."""
    cadence: CadenceSettings = CadenceSettings()
    """When a task is asked about again."""
    events: EventSettings = EventSettings()
    """What events say."""
    limits: Limits = Limits()
    """What is never exceeded."""
    aws: AwsSettings = AwsSettings()
    """The way to AWS."""
    api: ApiSettings = ApiSettings()
    """Health, readiness and metrics over HTTP."""
    logs: LogSettings = LogSettings()
    """Where trouble and progress are told."""


TABLES: Mapping[str, Mapping[str, AdapterType]] = {"sources": SOURCES, "store": STORES, "sinks": SINKS}
"""The keys that hold adapters, and the words their `type` may be."""


def section_of(key: str) -> type[Section] | None:
    """The class behind a section that has no `type`."""
    annotation = Settings.model_fields[key].annotation
    return annotation if isinstance(annotation, type) and issubclass(annotation, Section) else None


def schema() -> dict[str, Any]:
    """JSON Schema of the configuration file, for editors and checks elsewhere."""
    return {"$schema": "https://json-schema.org/raw_config/2020-12/schema", **Settings.model_json_schema()}
