"""The AsyncAPI document: the events, and the channels that deliver them. Its schemas are those of `core.delivery.event_schema`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter, Response

from watcher import __version__
from watcher.core.delivery.event_examples import EXAMPLES, TRANSITION
from watcher.core.delivery.event_schema import NAMES, event_schemas
from watcher.kinds.catalog import Catalog
from watcher.model import EventType

Document = Mapping[str, Any]

PATH = "/asyncapi.json"
_SCHEMAS = "#/components/schemas/"
_CLOUDEVENT = "application/cloudevents+json"
_DESCRIPTION = """The events of tasks, as CloudEvents. Delivery is at least once, in order for each task, with stable ids.

A consumer must ignore members that it does not know: later versions may add members, and never remove or rename one. A change that
breaks consumers gets a new type. /openapi.json describes the requests."""
_STREAM = """Server-sent events. In each block, `id` is the cursor after the event, and `data` is the CloudEvent on one line. There is no
`event` field. While there is no event, blocks with only an `id` have a newer cursor. Send the last cursor as `Last-Event-ID` or `after`."""
_SINKS = """What each configured sink delivers: the same bytes. `jsonl`: one event on each line. `webhook`: the body of a POST request, with
the headers of Standard Webhooks. `sqs` and `sns`: the message, with the attributes `content-type`, `type`, `kind`, `to`,
`terminal`, `traceparent`, and `tracestate`. `eventbridge`: `detail`, where `detail-type` is the type. `kinesis`: the data of a record.
`lambda`: the payload. `stepfunctions` delivers no events: it answers task tokens with `data`."""
_SUMMARIES: Mapping[EventType, str] = {
    EventType.TRANSITION: "The status of a task changed",
    EventType.UPDATED: "The result of a task changed, or a provisional status became final",
    EventType.ENDED: "The watch of a task ended before the task did",
}


def asyncapi_router(catalog: Catalog) -> APIRouter:
    """Return the route of the document. It needs no token, because it contains no data of tasks."""
    routes = APIRouter(tags=["documents"])
    body = json.dumps(asyncapi_document(catalog))

    @routes.get(
        PATH,
        summary="Get the AsyncAPI document",
        response_class=Response,
        responses={200: {"description": "AsyncAPI 3.0.", "content": {"application/json": {"schema": _FORM, "example": _SHORT}}}},
    )
    async def document() -> Response:
        """The events with their JSON Schemas, and the channels on which they arrive."""
        return Response(body, media_type="application/json")

    return routes


_FORM: Document = {
    "type": "object",
    "required": ["asyncapi", "info", "channels", "operations", "components"],
    "properties": {"asyncapi": {"const": "3.0.0"}},
}
_SHORT: Document = {"asyncapi": "3.0.0", "info": {}, "channels": {}, "operations": {}, "components": {}}


def asyncapi_document(catalog: Catalog) -> Document:
    """Return the document."""
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "speaker-search-watcher",
            "version": __version__,
            "description": _DESCRIPTION,
            "license": {"name": "Apache-2.0", "url": "https://www.apache.org/licenses/LICENSE-2.0"},
        },
        "defaultContentType": _CLOUDEVENT,
        "channels": {
            "stream": _channel("/v1/events", "The stream of events", _STREAM, NAMES.values()),
            "pages": _channel("/v1/events", "Pages of events", "JSON. With `wait`, a request waits for the next event.", ["EventPage"]),
            "sinks": _channel(None, "The sinks", _SINKS, NAMES.values()),
        },
        "operations": {
            "followEvents": _operation("stream", "Follow the events", _get("after", "task", "kind", "terminal")),
            "readEvents": _operation("pages", "Read events in pages", _get("after", "task", "kind", "terminal", "limit", "wait")),
            "deliverEvents": _operation("sinks", "Deliver the events to a sink", None),
        },
        "components": {
            "messages": {**{name: _message(type_, name) for type_, name in NAMES.items()}, "EventPage": _PAGE},
            "schemas": event_schemas(catalog, _SCHEMAS),
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer", "description": "A token of api.tokens."}},
        },
    }


def _channel(address: str | None, title: str, description: str, messages: Any) -> Document:
    refs = {name: {"$ref": f"#/components/messages/{name}"} for name in messages}
    return {"address": address, "title": title, "description": description, "messages": refs}


def _operation(channel: str, title: str, request: Document | None) -> Document:
    """The watcher sends the messages of a channel. `request`: on which HTTP request."""
    operation = {"action": "send", "channel": {"$ref": f"#/channels/{channel}"}, "title": title}
    if request is None:
        return operation
    return operation | {"bindings": {"http": request}, "security": [{"$ref": "#/components/securitySchemes/token"}]}


def _get(*parameters: str) -> Document:
    query = {"type": "object", "properties": {name: _QUERY[name] for name in parameters}}
    return {"method": "GET", "query": query, "bindingVersion": "0.3.0"}


def _message(type_: EventType, name: str) -> Document:
    return {
        "name": type_.value,
        "title": _SUMMARIES[type_],
        "contentType": _CLOUDEVENT,
        "payload": {"$ref": _SCHEMAS + name},
        "examples": [{"name": name, "payload": EXAMPLES[type_]}],
    }


_QUERY: Mapping[str, Document] = {
    "after": {"type": "string", "description": "`start`, `now`, or a cursor.", "default": "start"},
    "task": {"type": "string", "description": "The key of a task."},
    "kind": {"type": "string", "description": "A kind of task."},
    "terminal": {"type": "boolean", "description": "`true`: only the last event of each task."},
    "limit": {"type": "integer", "minimum": 1, "maximum": 1000, "default": 100, "description": "Events in a page."},
    "wait": {"type": "number", "minimum": 0, "maximum": 60, "default": 0, "description": "Seconds to wait for an event."},
}
_PAGE: Document = {
    "name": "EventPage",
    "title": "A page of events",
    "contentType": "application/json",
    "payload": {
        "type": "object",
        "required": ["events", "next"],
        "properties": {
            "events": {"type": "array", "items": {"$ref": f"{_SCHEMAS}Event"}},
            "next": {"type": "string", "description": "The cursor after these events."},
        },
    },
    "examples": [{"name": "EventPage", "payload": {"events": [TRANSITION], "next": "AQAAAAAAAAAAAAABmrzzGgAAAQ"}}],
}
