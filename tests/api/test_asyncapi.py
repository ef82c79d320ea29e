"""The AsyncAPI document: its references resolve, its examples have their schemas, and it needs no token."""

from __future__ import annotations

from typing import Any

import pytest
from jsonschema import Draft7Validator, Draft202012Validator

from tests.api.running import WRITE, api_client
from tests.runtime.conftest import MakeWorld
from watcher.api.asyncapi import PATH, asyncapi_document
from watcher.api.settings import ApiToken
from watcher.core.delivery.event_schema import event_schemas
from watcher.kinds.catalog import builtin_catalog
from watcher.model import EventType

DOCUMENT = dict(asyncapi_document(builtin_catalog()))
COMPONENTS = DOCUMENT["components"]


def references(value: Any) -> list[str]:
    """Each `$ref` in a JSON value."""
    if isinstance(value, list):
        return [ref for each in value for ref in references(each)]
    if not isinstance(value, dict):
        return []
    own = [value["$ref"]] if "$ref" in value else []
    return own + [ref for each in value.values() for ref in references(each)]


def resolved(ref: str) -> Any:
    """What a reference names. Raises KeyError."""
    value: Any = DOCUMENT
    for part in ref.removeprefix("#/").split("/"):
        value = value[part]
    return value


def test_each_reference_resolves() -> None:
    """Each `$ref` names something in the document, and each message is on a channel."""
    refs = references(DOCUMENT)
    assert all(resolved(ref) for ref in refs)
    assert {f"#/components/messages/{name}" for name in COMPONENTS["messages"]} <= set(refs)


def test_it_has_what_the_specification_requires() -> None:
    """Each operation sends the messages of a channel, each channel has a description, and there is a message for each type."""
    assert (DOCUMENT["asyncapi"], set(DOCUMENT["info"]) >= {"title", "version"}) == ("3.0.0", True)
    for operation in DOCUMENT["operations"].values():
        assert operation["action"] == "send"
        assert resolved(operation["channel"]["$ref"])["description"]
    assert {message["name"] for message in COMPONENTS["messages"].values()} == {*EventType, "EventPage"}
    assert COMPONENTS["schemas"] == event_schemas(builtin_catalog(), "#/components/schemas/")


@pytest.mark.parametrize("draft", [Draft202012Validator, Draft7Validator], ids=["2020-12", "draft 7"])
@pytest.mark.parametrize("name", COMPONENTS["messages"])
def test_each_example_has_its_schema(name: str, draft: Any) -> None:
    """In both drafts: tools for AsyncAPI read schemas as draft 7, unless they know a later one."""
    message = COMPONENTS["messages"][name]
    for example in message["examples"]:
        draft({"components": COMPONENTS, **message["payload"]} if draft is Draft202012Validator else whole(message["payload"])).validate(
            example["payload"]
        )
        assert not draft({"allOf": [message["payload"]], "components": COMPONENTS}).is_valid({})


def whole(schema: Any) -> Any:
    """In draft 7, nothing beside `$ref` counts."""
    return {"allOf": [schema], "components": COMPONENTS}


@pytest.mark.looptime
async def test_it_needs_no_token(world: MakeWorld) -> None:
    """It is served as JSON to clients without a token, as it has no data of tasks."""
    async with api_client(world(finite=False), [ApiToken.model_validate({"name": "w", "role": "write", "token": WRITE})]) as client:
        reply = await client.get(PATH)
        assert (await client.head(PATH)).status_code == 200
    assert (reply.status_code, reply.json()) == (200, DOCUMENT)
