"""The short way for polls: a GET sent in the client's place, when the SDK is about to send it the long way.

The event `before-call` is the seam that the SDK's own Stubber uses: by then the client's method has checked the
parameters and knows the URL, and a handler that answers keeps it from signing, sending and parsing. What is taken over
costs four times as much in the SDK, because it serves every service, and allows for every extension. The credentials,
the endpoint, the guarded session and the reading of errors stay the client's own, so replies come to the same errors
as without it. What it does not know how to send it leaves to the client. It may not wait, repeat or log.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from aiobotocore.parsers import create_parser
from botocore.exceptions import NoCredentialsError

from watcher.adapters.aws.signature import signed_headers
from watcher.adapters.aws.timestamps import parse_timestamp
from watcher.errors import Unreadable

Response = tuple[Any, dict[str, Any]]
"""The HTTP response, and what a client's method returns or makes its error of."""


def shorten(client: Any) -> None:
    """From now on this client's GETs go the short way."""
    service = client.meta.service_model
    short = _ShortWay(client._endpoint.http_session, create_parser(service.resolved_protocol))
    client.meta.events.register(f"before-call.{service.service_id.hyphenize()}", short.answer)


@dataclass(frozen=True, slots=True)
class _Get:
    """What the session uses of a request."""

    url: str
    headers: Mapping[str, str]
    method: str = "GET"
    body: None = None
    stream_output: bool = False


class _ShortWay:
    def __init__(self, http: Any, parser: Any) -> None:
        self._http = http
        self._parser = parser
        self._times: dict[str, Mapping[str, Sequence[str]]] = {}

    async def answer(
        self, model: Any, params: Mapping[str, Any], request_signer: Any, context: Mapping[str, Any], **_: Any
    ) -> Response | None:
        """The response to this call; None leaves it to the client."""
        version = context.get("auth_type") or request_signer.signature_version
        if params["method"] != "GET" or params["body"] or version != "v4":
            return None
        response = await self._http.send(_Get(params["url"], await _headers(params, request_signer, context)))
        body = await response.content
        if response.status_code >= 300:
            reply = {"headers": response.headers, "status_code": response.status_code, "body": body, "context": {}}
            return response, await self._parser.parse(reply, model.output_shape)
        return response, _read(body, self._timestamps(model))

    def _timestamps(self, model: Any) -> Mapping[str, Sequence[str]]:
        """For each object in the reply, its members that are points in time, as the API model has them."""
        if model.name not in self._times:
            objects = {name: shape for name, shape in model.output_shape.members.items() if shape.type_name == "structure"}
            self._times[model.name] = {
                name: [member for member, inner in shape.members.items() if inner.type_name == "timestamp"]
                for name, shape in objects.items()
            }
        return self._times[model.name]


async def _headers(params: Mapping[str, Any], request_signer: Any, context: Mapping[str, Any]) -> dict[str, str]:
    signing = context.get("signing") or {}
    region = signing.get("region") or request_signer.region_name
    service = signing.get("signing_name") or request_signer.signing_name
    auth = await request_signer.get_auth_instance(service, region, "v4")
    if auth.credentials is None:
        raise NoCredentialsError
    return {**params["headers"], **signed_headers(params["url"], auth.credentials, region, service, time.time())}


def _read(body: bytes, timestamps: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    """The JSON object that a body holds, with its timestamps read. Raises Unreadable, and what the SDK raises for a timestamp."""
    try:
        reply = json.loads(body.decode())
    except (ValueError, RecursionError) as error:
        raise Unreadable("json", type(error).__name__) from None
    if not isinstance(reply, dict):
        raise Unreadable("json", "no object")
    for name, members in timestamps.items():
        part = reply.get(name)
        if isinstance(part, dict):
            part.update({member: parse_timestamp(part[member]) for member in members if part.get(member) is not None})
    return reply
