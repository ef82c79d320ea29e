"""Checks replies with the OpenAPI document: the status, the type of the content, and the schema of the body."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote

import httpx
from fastapi import FastAPI
from jsonschema import Draft202012Validator

from watcher.api.problems import MEDIA_TYPE

EVERYWHERE = {404, 405}
"""What a path or a method that the document does not have is answered with."""


class Documented:
    """An event hook of a client."""

    def __init__(self, api: FastAPI) -> None:
        self._api = api

    async def check(self, response: httpx.Response) -> None:
        """Fail if the document does not have this reply."""
        document, method = self._api.openapi(), response.request.method
        operation = operation_of(document, method.replace("HEAD", "GET"), response.request.url.raw_path.decode().partition("?")[0])
        media_type = response.headers.get("content-type", "").partition(";")[0]
        if operation is None:
            assert response.status_code in EVERYWHERE or not document["paths"].get(response.request.url.path), response.status_code
            return
        reply = operation["responses"].get(str(response.status_code))
        assert reply is not None, f"{response.status_code} of {operation['summary']} is not documented"
        assert media_type in reply.get("content", {"": None}), f"{media_type} with {response.status_code} of {operation['summary']}"
        assert set(reply.get("headers", {})) <= {name.title().replace("Www", "WWW") for name in response.headers}
        if media_type in ("application/json", MEDIA_TYPE) and method != "HEAD":
            await response.aread()
            validator(document, reply["content"][media_type]["schema"]).validate(response.json())


def operation_of(document: Mapping[str, Any], method: str, path: str) -> Any:
    """Return the operation of a request, None if there is none. A path without parameters comes before one with them."""
    for template in sorted(document["paths"], key=lambda each: each.count("{")):
        pattern = re.sub(r"\\\{(\w+)\\\}", lambda match: ".*" if match[1] == "key" else "[^/]*", re.escape(template))
        if re.fullmatch(pattern, unquote(path), re.DOTALL) and method.lower() in document["paths"][template]:
            return document["paths"][template][method.lower()]
    return None


def validator(document: Mapping[str, Any], schema: Mapping[str, Any]) -> Draft202012Validator:
    """Return the validator of a schema of the document, which may refer to its components."""
    root = {"components": document["components"], **schema}
    return Draft202012Validator(root, format_checker=Draft202012Validator.FORMAT_CHECKER)
