"""The OpenAPI document: it is complete, its examples have their schemas, and each of its references resolves."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.api.documented import validator
from tests.api.running import api_client, api_of
from tests.runtime.conftest import MakeWorld, key
from watcher.core.delivery.event_schema import NAMES

Operation = tuple[str, str, dict[str, Any]]


@pytest.fixture
async def document(world: MakeWorld) -> dict[str, Any]:
    """The document of a whole API."""
    w = world(finite=False)
    return dict(api_of(w, w.watcher()).server.api.openapi())


def operations(document: dict[str, Any]) -> Iterator[Operation]:
    """Each operation with its method and path."""
    for path, item in document["paths"].items():
        for method, operation in item.items():
            yield method.upper(), path, operation


def media(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """The content of each request and each reply, with its place."""
    for method, path, operation in operations(document):
        for media_type, content in operation.get("requestBody", {}).get("content", {}).items():
            yield f"{method} {path} {media_type}", content
        for status, reply in operation["responses"].items():
            for media_type, content in reply.get("content", {}).items():
                yield f"{method} {path} {status} {media_type}", content


def test_each_operation_is_described(document: dict[str, Any]) -> None:
    """Each operation has a summary and a description, and so has each parameter and each reply."""
    for method, path, operation in operations(document):
        assert operation.get("summary"), (method, path)
        assert operation.get("description"), (method, path)
        assert [each["name"] for each in operation.get("parameters", []) if not each.get("description")] == [], (method, path)
        assert [status for status, reply in operation["responses"].items() if not reply["description"]] == [], (method, path)


def test_each_operation_has_the_replies_of_its_kind(document: dict[str, Any]) -> None:
    """Everything under /v1 documents tokens, roles, and invalid parameters; what has a body documents its size and its type."""
    for method, path, operation in operations(document):
        if path.startswith("/v1/"):
            body = {"413", "415"} if "requestBody" in operation else set()
            assert {"400", "401", "403", *body} <= set(operation["responses"]), (method, path)
            assert operation["security"] == [{"token": []}, {}]


def test_each_success_and_each_request_has_an_example(document: dict[str, Any]) -> None:
    """Each reply with 2xx that has content, and each request body, has an example."""
    missing = [
        place for place, content in media(document) if "problem+json" not in place and not ("example" in content or content.get("examples"))
    ]
    assert missing == []


def test_each_example_has_its_schema(document: dict[str, Any]) -> None:
    """The examples are valid under the schemas beside them, and so are those in the schemas of the components."""
    for place, content in media(document):
        examples = [each["value"] for each in content.get("examples", {}).values()]
        for example in [*examples, *([content["example"]] if "example" in content else [])]:
            errors = list(validator(document, content["schema"]).iter_errors(example))
            assert errors == [], place
    for schema in document["components"]["schemas"].values():
        for example in schema.get("examples", []):
            validator(document, schema).validate(example)


def test_each_reference_resolves(document: dict[str, Any]) -> None:
    """Each `$ref` names a schema of the components, and each schema is referred to."""
    text = json.dumps(document)
    refs = {part.split('"')[0] for part in text.split('"$ref": "#/components/schemas/')[1:]}
    assert refs == set(document["components"]["schemas"])
    assert text.count('"$ref"') == text.count('"$ref": "#/components/schemas/')


def test_it_has_the_schema_of_each_event(document: dict[str, Any]) -> None:
    """A page of events and the page of a task refer to the schemas of the events."""
    assert {"Event", *NAMES.values()} <= set(document["components"]["schemas"])
    page = document["paths"]["/v1/events"]["get"]["responses"]["200"]["content"]["application/json"]["schema"]
    assert page["properties"]["events"]["items"] == {"$ref": "#/components/schemas/Event"}


@pytest.mark.looptime
async def test_the_events_of_a_simulated_service_have_the_schema(world: MakeWorld) -> None:
    """All events of several tasks of both kinds are valid under the document, which the client checks for each reply."""
    async with api_client(world(finite=False)) as client:
        ids = ["a", "b", "c", "stuck-1"]
        await client.post("/v1/tasks", json=[*(f"abc123/{id_}" for id_ in ids), *(f"voice-tone/abc123/{id_}" for id_ in ids)])
        await client.get("/v1/events", params={"wait": 60})
        seen: list[dict[str, Any]] = []
        after = "start"
        while len([each for each in seen if each["data"]["terminal"]]) < 6:
            page = (await client.get("/v1/events", params={"after": after, "wait": 60, "limit": 3})).json()
            seen, after = seen + page["events"], page["next"]
        await client.delete(f"/v1/tasks/{key('stuck-1')}")
        while seen[-1]["data"].get("reason") != "cancelled":
            page = (await client.get("/v1/events", params={"after": after, "wait": 60})).json()
            seen, after = seen + page["events"], page["next"]
        for id_ in ids:
            await client.get(f"/v1/tasks/{key(id_)}")
    assert {each["data"]["task"]["kind"] for each in seen} == {"speaker-search", "voice-tone"}
    assert any(each["data"]["result"] for each in seen)
