"""Writes a transition as a CloudEvent (1.0, structured JSON). Once: what is committed is what every sink gets, byte for byte."""

from __future__ import annotations

import hashlib
import hmac
import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal
from urllib.parse import quote

from pydantic import Field, SecretStr

from watcher.kinds import Kind
from watcher.model import Event, EventType, Result, Transition, Watch
from watcher.section import Section

MAX_MESSAGE = 4096
"""Characters of a StatusMessage that are passed on: the rest would cost the event its place in a 256 KiB message."""


class EventSettings(Section):
    """What events say."""

    results: Literal["full", "hashed", "count", "none"] = "full"
    """How much of a result leaves the house: all; profiles as digests; how many matched; nothing."""
    hash_key: SecretStr | None = Field(default=None, min_length=16)
    """For `hashed`: the key of the digest, so that nobody without it can test a guess. Unset: a plain SHA-256."""


@dataclass(frozen=True, slots=True)
class EventWriter:
    """Turns transitions into events, under one privacy setting and for one Region."""

    settings: EventSettings
    region: str = "local"

    def write(self, kind: Kind, watch: Watch, told: Transition, now: float) -> Event:
        """`watch` is as it stands after the step of which `told` is a part; `now` is when it is committed."""
        id_ = event_id(watch.key, watch.id, told.sequence)
        params = "/".join(quote(part, safe="") for part in watch.ref.params)
        body = {
            "specversion": "1.0",
            "id": id_,
            "source": f"/watcher/{watch.ref.kind}/{self.region}/{params}",
            "type": told.type.value,
            "subject": watch.key,
            "time": iso(self._time(watch, told)),
            "datacontenttype": "application/json",
            "sequence": f"{told.sequence:010d}",
            "partitionkey": watch.key,
            "data": self._data(kind, watch, told),
        }
        return Event(
            id=id_,
            key=watch.key,
            kind=watch.ref.kind,
            type=told.type.value,
            to=told.after,
            terminal=told.terminal,
            at=now,
            body=json.dumps(body, separators=(",", ":")).encode("ascii"),
        )

    def _time(self, watch: Watch, told: Transition) -> float:
        if told.type is EventType.ENDED or watch.updated_at is None:
            return told.observed_at
        return watch.updated_at

    def _data(self, kind: Kind, watch: Watch, told: Transition) -> dict[str, Any]:
        ended = told.type is EventType.ENDED
        lag = None if ended or watch.updated_at is None else max(0.0, round(told.observed_at - watch.updated_at, 3))
        names = [param.name for param in kind.params]
        data: dict[str, Any] = {
            "task": {
                "key": watch.key,
                "kind": watch.ref.kind,
                "target": watch.ref.target,
                "params": dict(zip(names, watch.ref.params, strict=True)),
            },
            "from": told.before,
            "to": told.after,
            "terminal": told.terminal,
            "skipped": list(told.skipped),
            "observed_at": iso(told.observed_at),
            "updated_at": iso(watch.updated_at),
            "created_at": iso(watch.created_at),
            "started_at": iso(watch.started_at),
            "detection_lag_s": lag,
            "polls": watch.polls,
            "result": self._result(kind, told.result),
            "message": self._message(told.message),
            "context": None if watch.context is None else json.loads(watch.context),
        }
        return data | {"reason": told.reason} if ended else data

    def _result(self, kind: Kind, result: Result | None) -> Result | None:
        if result is None or self.settings.results == "none":
            return None
        if self.settings.results == "count":
            return kind.counted(result)
        return kind.hashed(result, self._digest) if self.settings.results == "hashed" else result

    def _message(self, message: str | None) -> str | None:
        """StatusMessage may name a person: it goes where identifiers go in clear, and nowhere else."""
        if message is None or self.settings.results != "full":
            return None
        return message[:MAX_MESSAGE].encode("utf-8", "replace").decode()

    def _digest(self, identifier: str) -> str:
        data = identifier.encode("utf-8", "replace")
        if self.settings.hash_key is None:
            return "sha256:" + hashlib.sha256(data).hexdigest()
        return "hmac-sha256:" + hmac.new(self.settings.hash_key.get_secret_value().encode(), data, hashlib.sha256).hexdigest()


def event_id(key: str, watch_id: str, sequence: int) -> str:
    """32 hex, the same for the same event of the same watch whenever it is written."""
    return hashlib.sha256(f"{key}\n{watch_id}\n{sequence}".encode()).hexdigest()[:32]


def iso(seconds: float | None) -> str | None:
    """RFC 3339 in UTC to the millisecond."""
    if seconds is None:
        return None
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def event_of(body: bytes, position: int) -> Event:
    """An event as it was committed, from its own body: for one that was set aside and is sent again."""
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
    )
