"""Writes replies: contents under the names of the API model, or an error, in the format of the protocol."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from datetime import datetime
from email.utils import format_datetime
from typing import Any
from xml.etree import ElementTree

from watcher.simulator.declared.models import ApiModel, Operation
from watcher.simulator.wire import HttpReply

REQUEST_ID = "00000000-0000-4000-8000-000000000000"
"""The request id in the body of each XML reply. The header x-amzn-RequestId has an id of its own for each reply."""


def write_reply(operation: Operation, contents: Mapping[str, Any]) -> HttpReply:
    """Return a reply with status 200, or the one of the member that is the status. Times in `contents` are aware datetimes."""
    api, shape = operation.api, operation.output_shape
    headers, status = {"Content-Type": _content_type(api)}, 200
    body_members = dict(contents)
    for name, member in shape.members.items():
        location = member.serialization.get("location")
        if location is None or name not in contents or not api.protocol.startswith("rest"):
            continue
        value = body_members.pop(name)
        if location == "header":
            headers[member.serialization.get("name", name)] = _text(member, value, "rfc822")
        elif location == "statusCode":
            status = int(value)
    return HttpReply(status, _body(operation, body_members), headers)


def write_error(api: ApiModel, code: str, status: int, message: str) -> HttpReply:
    """Return an error. Without a code it is the page of a load balancer."""
    if not code:
        return HttpReply(status, b"<html><body><h1>Bad Gateway</h1></body></html>", {"Content-Type": "text/html"})
    headers = {"Content-Type": _content_type(api)}
    if api.protocol == "json":
        return HttpReply(status, json.dumps({"__type": code, "message": message}).encode(), headers)
    if api.protocol == "rest-json":
        return HttpReply(status, json.dumps({"message": message}).encode(), {**headers, "x-amzn-ErrorType": code})
    root = ElementTree.Element("Response" if api.protocol == "ec2" else "ErrorResponse")
    parent = ElementTree.SubElement(root, "Errors") if api.protocol == "ec2" else root
    error = ElementTree.SubElement(parent, "Error")
    for name, text in (("Type", "Sender" if status < 500 else "Receiver"), ("Code", code), ("Message", message)):
        if name != "Type" or api.protocol != "ec2":
            ElementTree.SubElement(error, name).text = text
    ElementTree.SubElement(root, "RequestID" if api.protocol == "ec2" else "RequestId").text = REQUEST_ID
    return HttpReply(status, _xml(root), headers)


def is_json(api: ApiModel) -> bool:
    """Whether the bodies of replies are JSON; otherwise they are XML."""
    return api.protocol in ("json", "rest-json")


def _content_type(api: ApiModel) -> str:
    if api.protocol == "json":
        return f"application/x-amz-json-{api.json_version}"
    return "application/json" if api.protocol == "rest-json" else "text/xml"


def _body(operation: Operation, members: Mapping[str, Any]) -> bytes:
    api, shape = operation.api, operation.output_shape
    payload = shape.serialization.get("payload") if api.protocol.startswith("rest") else None
    if payload is not None and payload not in members:
        return b""
    if is_json(api):
        inner, value = (shape, members) if payload is None else (shape.members[payload], members[payload])
        return json.dumps(_json(inner, value)).encode()
    if api.protocol == "rest-xml":
        inner, value = (shape, members) if payload is None else (shape.members[payload], members[payload])
        root = ElementTree.Element(inner.serialization.get("name", inner.name))
        _add_members(root, inner, value)
        return _xml(root)
    root = ElementTree.Element(f"{operation.name}Response", {"xmlns": api.xml_namespace} if api.xml_namespace else {})
    wrapper = shape.serialization.get("resultWrapper")
    _add_members(root if wrapper is None else ElementTree.SubElement(root, wrapper), shape, members)
    metadata = root if api.protocol == "ec2" else ElementTree.SubElement(root, "ResponseMetadata")
    ElementTree.SubElement(metadata, "requestId" if api.protocol == "ec2" else "RequestId").text = REQUEST_ID
    return _xml(root)


def _json(shape: Any, value: Any) -> Any:
    if shape.type_name == "structure":
        return {shape.members[name].serialization.get("name", name): _json(shape.members[name], item) for name, item in value.items()}
    if shape.type_name == "list":
        return [_json(shape.member, item) for item in value]
    if shape.type_name == "map":
        return {key: _json(shape.value, item) for key, item in value.items()}
    if shape.type_name == "timestamp" and shape.serialization.get("timestampFormat", "unixTimestamp") == "unixTimestamp":
        return value.timestamp()
    return _text(shape, value, "iso8601") if shape.type_name in ("timestamp", "blob") else value


def _text(shape: Any, value: Any, time_format: str) -> str:
    """Return a scalar as text. `time_format` is for a timestamp whose shape has none."""
    if isinstance(value, datetime):
        written = shape.serialization.get("timestampFormat", time_format)
        if written == "rfc822":
            return format_datetime(value, usegmt=True)
        return str(value.timestamp()) if written == "unixTimestamp" else value.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    return str(value).lower() if isinstance(value, bool) else str(value)


def _add_members(element: ElementTree.Element, shape: Any, value: Mapping[str, Any]) -> None:
    for name, item in value.items():
        member = shape.members[name]
        _add(element, member, member.serialization.get("name", name), item)


def _add(parent: ElementTree.Element, shape: Any, name: str, value: Any) -> None:
    """Add a value under its name. A flattened list has no element of its own: its items stand beside the other members."""
    if shape.type_name == "list":
        flattened = shape.serialization.get("flattened")
        inner = parent if flattened else ElementTree.SubElement(parent, name)
        for item in value:
            _add(inner, shape.member, shape.member.serialization.get("name", name if flattened else "member"), item)
    elif shape.type_name == "map":
        _add_map(parent, shape, name, value)
    elif shape.type_name == "structure":
        _add_members(ElementTree.SubElement(parent, name), shape, value)
    else:
        ElementTree.SubElement(parent, name).text = _text(shape, value, "iso8601")


def _add_map(parent: ElementTree.Element, shape: Any, name: str, value: Mapping[str, Any]) -> None:
    flattened = shape.serialization.get("flattened")
    inner = parent if flattened else ElementTree.SubElement(parent, name)
    for key, item in value.items():
        entry = ElementTree.SubElement(inner, name if flattened else "entry")
        _add(entry, shape.key, shape.key.serialization.get("name", "key"), key)
        _add(entry, shape.value, shape.value.serialization.get("name", "value"), item)


def _xml(root: ElementTree.Element) -> bytes:
    text: bytes = ElementTree.tostring(root, encoding="utf-8", xml_declaration=True)
    return text
