"""Renders a transition as a CloudEvent 1.0 in structured JSON. Each event is rendered once; every sink gets the same bytes."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal
from urllib.parse import quote

from pydantic import Field, SecretStr

from watcher.core.trace_context import attributes_of, of_members
from watcher.kinds.kind import Kind
from watcher.model import Event, EventType, Scope, Transition, Watch
from watcher.section import Section

MAX_MESSAGE = 4096
"""Characters of a service's status message in an event. A longer one could make the event too large for a 256 KiB message."""


class EventSettings(Section):
    """What events contain."""

    results: Literal["full", "hashed", "count", "none"] = "full"
    """How much of a result an event carries: all of it; identifiers of persons as digests; how much was found; nothing."""
    hash_key: SecretStr | None = Field(default=None, min_length=16)
    """The key of the digests for `hashed`. Without it, anyone with a list of identifiers can test each (plain SHA-256)."""


@dataclass(frozen=True, slots=True)
class EventWriter:
    """Turns transitions into events, under one privacy setting."""

    settings: EventSettings
    region: str = "local"
    """Where the tasks of a target are whose Region is not known."""
    scopes: Mapping[str, Scope] = field(default_factory=dict)
    """By name, where the tasks of the targets are."""

    def write(self, kind: Kind, watch: Watch, transition: Transition, now: float) -> Event:
        """Return the event for a transition. `watch` is in its state after the step; `now` is the time of the commit."""
        id_ = event_id(watch.key, watch.id, transition.sequence)
        params = "/".join(quote(part, safe="") for part in watch.ref.params)
        body = {
            "specversion": "1.0",
            "id": id_,
            "source": f"/watcher/{watch.ref.kind}/{self._region(watch.ref.target)}/{params}",
            "type": transition.type.value,
            "subject": watch.key,
            "time": iso(_time(watch, transition)),
            "datacontenttype": "application/json",
            "sequence": f"{transition.sequence:010d}",
            "partitionkey": watch.key,
            **attributes_of(watch.trace),  # the distributed tracing extension of CloudEvents
            "data": self._data(kind, watch, transition),
        }
        return Event(
            id=id_,
            key=watch.key,
            kind=watch.ref.kind,
            type=transition.type.value,
            to=transition.after,
            terminal=transition.terminal,
            at=now,
            body=json.dumps(body, separators=(",", ":")).encode("ascii"),
        )

    def _region(self, target: str) -> str:
        scope = self.scopes.get(target)
        return self.region if scope is None or scope.region is None else scope.region

    def _data(self, kind: Kind, watch: Watch, transition: Transition) -> dict[str, Any]:
        ended = transition.type is EventType.ENDED
        lag = None if ended or watch.updated_at is None else max(0.0, round(transition.observed_at - watch.updated_at, 3))
        names = [param.name for param in kind.params]
        data: dict[str, Any] = {
            "task": {
                "key": watch.key,
                "kind": watch.ref.kind,
                "target": watch.ref.target,
                "params": dict(zip(names, watch.ref.params, strict=True)),
            },
            "from": transition.before,
            "to": transition.after,
            "terminal": transition.terminal,
            "skipped": list(transition.skipped),
            "observed_at": iso(transition.observed_at),
            "observed_from": transition.observed_from,
            "updated_at": iso(watch.updated_at),
            "created_at": iso(watch.created_at),
            "started_at": iso(watch.started_at),
            "detection_lag_s": lag,
            "polls": watch.polls,
            "result": kind.redact(transition.result, self.settings.results, self._digest),
            "message": self._message(transition.message),
            "context": None if watch.context is None else json.loads(watch.context),
        }
        return data | {"reason": transition.reason} if ended else data

    def _message(self, message: str | None) -> str | None:
        """The service's message may name a person, so events contain it only where they contain identifiers."""
        if message is None or self.settings.results != "full":
            return None
        return message[:MAX_MESSAGE].encode("utf-8", "replace").decode()

    def _digest(self, identifier: str) -> str:
        data = identifier.encode("utf-8", "replace")
        if self.settings.hash_key is None:
            return "sha256:" + hashlib.sha256(data).hexdigest()
        return "hmac-sha256:" + hmac.new(self.settings.hash_key.get_secret_value().encode(), data, hashlib.sha256).hexdigest()


def _time(watch: Watch, transition: Transition) -> float:
    """When it happened: by the service's timestamp if there is one, else when we saw it."""
    if transition.type is EventType.ENDED or watch.updated_at is None:
        return transition.observed_at
    return watch.updated_at


def event_id(key: str, watch_id: str, sequence: int) -> str:
    """32 hex digits, always the same for the same event of the same watch."""
    return hashlib.sha256(f"{key}\n{watch_id}\n{sequence}".encode()).hexdigest()[:32]


def iso(seconds: float | None) -> str | None:
    """Seconds since the epoch as RFC 3339 in UTC to the millisecond."""
    if seconds is None:
        return None
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def trace_of(event: Event) -> str | None:
    """Return the trace context in the body of an event, as in `Watch.trace`."""
    return of_members(json.loads(event.body)) if b'"traceparent"' in event.body else None


def event_of(body: bytes, position: int, shard: int = 0) -> Event:
    """Return a committed event from its own body, as for a dead letter that is sent again."""
    event = json.loads(body)
    data = event["data"]
    return Event(
        id=event["id"],
        key=event["subject"],
        kind=data["task"]["kind"],
        type=event["type"],
        to=data["to"],
        terminal=data["terminal"],
        at=datetime.fromisoformat(data["observed_at"]).timestamp(),
        body=body,
        position=position,
        shard=shard,
    )
