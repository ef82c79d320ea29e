"""Reads requests: which operation one calls, and its parameters under the names of the API model."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import parse_qs, parse_qsl, unquote

from watcher.simulator.declared.models import Operation
from watcher.simulator.wire import HttpRequest

_TEMPLATE = re.compile(r"\{(?P<name>[^{}+]+)(?P<greedy>\+?)\}")


class InvalidRequest(Exception):
    """The body is not in the format of the protocol, or does not fit the API model. The text says why."""


def calls(request: HttpRequest, operation: Operation) -> bool:
    """Whether a request is one for this operation, by the rules of its protocol."""
    api = operation.api
    if api.protocol == "json":
        return request.header("x-amz-target") == f"{api.target_prefix}.{operation.name}"
    if api.protocol in ("query", "ec2"):
        return _form(request).get("Action") == operation.name
    _, _, constants = operation.uri.partition("?")
    given = parse_qs(request.query, keep_blank_values=True)
    return (
        request.method == operation.method
        and _path_values(request, operation) is not None
        and all(given.get(name) == values for name, values in parse_qs(constants, keep_blank_values=True).items())
    )


def read_params(request: HttpRequest, operation: Operation) -> dict[str, Any]:
    """Return the parameters. Raises InvalidRequest, also where a required one is missing or has another type."""
    from botocore.validate import ParamValidator

    shape = operation.input_shape
    if shape is None:
        return {}
    if operation.api.protocol == "json":
        params: dict[str, Any] = _from_json(shape, _json_object(request.body))
    elif operation.api.protocol in ("query", "ec2"):
        params = _from_form(shape, _form(request), "", ec2=operation.api.protocol == "ec2") or {}
    else:
        params = _rest_params(request, operation)
    report = ParamValidator().validate(params, shape)
    if report.has_errors():
        raise InvalidRequest(report.generate_report().replace("\n", "; "))
    return params


def _form(request: HttpRequest) -> Mapping[str, str]:
    return dict(parse_qsl(request.body.decode("utf-8", "replace"), keep_blank_values=True))


def _json_object(body: bytes) -> dict[str, Any]:
    try:
        value = json.loads(body or b"{}")
    except (ValueError, RecursionError):
        raise InvalidRequest("the body is not JSON") from None
    if not isinstance(value, dict):
        raise InvalidRequest("the body is not a JSON object")
    return value


def _from_json(shape: Any, value: Any) -> Any:
    """Return a JSON value with the member names of the model. A value of another type stays: the validation reports it."""
    if shape.type_name == "structure" and isinstance(value, dict):
        named = {member.serialization.get("name", name): (name, member) for name, member in shape.members.items()}
        return {named[key][0]: _from_json(named[key][1], item) for key, item in value.items() if key in named and item is not None}
    if shape.type_name == "list" and isinstance(value, list):
        return [_from_json(shape.member, item) for item in value]
    if shape.type_name == "map" and isinstance(value, dict):
        return {key: _from_json(shape.value, item) for key, item in value.items()}
    return value


def _from_form(shape: Any, form: Mapping[str, str], prefix: str, *, ec2: bool) -> Any:
    """Return the value of a shape at a prefix such as `Filter.1`; None where there is none."""
    if shape.type_name == "structure":
        members = {
            name: _from_form(member, form, f"{prefix}.{_form_name(member, name, ec2=ec2)}".lstrip("."), ec2=ec2)
            for name, member in shape.members.items()
        }
        return {name: value for name, value in members.items() if value is not None} or None
    if shape.type_name == "list":
        return _form_list(shape, form, prefix, ec2=ec2)
    if shape.type_name == "map":
        return None  # no call that reads a task has a map in its request
    return None if prefix not in form else _scalar(shape, form[prefix])


def _form_list(shape: Any, form: Mapping[str, str], prefix: str, *, ec2: bool) -> list[Any] | None:
    name = shape.member.serialization.get("name")
    if not ec2 and not shape.serialization.get("flattened"):
        prefix = f"{prefix}.{name or 'member'}"
    elif not ec2 and name:
        prefix = ".".join([*prefix.split(".")[:-1], name])
    values: list[Any] = []
    while (value := _from_form(shape.member, form, f"{prefix}.{len(values) + 1}", ec2=ec2)) is not None:
        values.append(value)
    return values or None


def _form_name(member: Any, name: str, *, ec2: bool) -> str:
    serialized: str = member.serialization.get("name", name)
    if not ec2:
        return serialized
    query_name: str = member.serialization.get("queryName", "")
    return query_name or (serialized[:1].upper() + serialized[1:] if "name" in member.serialization else name)


def _scalar(shape: Any, text: str) -> Any:
    """Return the value of a text. One that is not of the type of the shape stays a text: the validation reports it."""
    if shape.type_name == "boolean" and text in ("true", "false"):
        return text == "true"
    convert = {"integer": int, "long": int, "float": float, "double": float}.get(shape.type_name, str)
    try:
        return convert(text)
    except ValueError:
        return text


def _path_values(request: HttpRequest, operation: Operation) -> Mapping[str, str] | None:
    """Return the values in the path by the names in the template; None where the path is not of this template."""
    template = operation.uri.partition("?")[0]
    names = [match["name"] for match in _TEMPLATE.finditer(template)]
    parts = _TEMPLATE.split(template)  # literal, name, greedy, literal, ...
    regex = re.escape(parts[0])
    for greedy, literal in zip(parts[2::3], parts[3::3], strict=True):
        regex += ("(.+)" if greedy else "([^/]+)") + re.escape(literal)
    match = re.fullmatch(regex, request.path)
    return None if match is None else dict(zip(names, map(unquote, match.groups()), strict=True))


def _rest_params(request: HttpRequest, operation: Operation) -> dict[str, Any]:
    shape, path = operation.input_shape, _path_values(request, operation) or {}
    query = parse_qs(request.query, keep_blank_values=True)
    params: dict[str, Any] = {}
    for name, member in shape.members.items():
        location, key = member.serialization.get("location"), member.serialization.get("name", name)
        if location == "uri" and key in path:
            params[name] = _scalar(member, path[key])
        elif location == "querystring" and key in query:
            params[name] = _query_value(member, query[key])
        elif location == "header" and key.lower() in request.headers:
            params[name] = _scalar(member, request.header(key.lower()))
    return params | (_rest_body(request, operation) if operation.api.protocol == "rest-json" else {})


def _query_value(member: Any, texts: Sequence[str]) -> Any:
    return [_scalar(member.member, text) for text in texts] if member.type_name == "list" else _scalar(member, texts[-1])


def _rest_body(request: HttpRequest, operation: Operation) -> dict[str, Any]:
    """The members in a JSON body. The calls that read tasks have no body in the protocol `rest-xml`."""
    shape, payload = operation.input_shape, operation.input_shape.serialization.get("payload")
    if payload is not None:
        return {payload: _from_json(shape.members[payload], _json_object(request.body))} if request.body else {}
    found: dict[str, Any] = _from_json(shape, _json_object(request.body))
    return {name: value for name, value in found.items() if "location" not in shape.members[name].serialization}
