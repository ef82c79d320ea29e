"""Turns one of botocore's waiters into a kind, as YAML to paste below `kinds:`. Pure.

A waiter knows the call, where the status is, and which statuses are a success or a failure. The rest is guessed by the names in the API
model; each guess that is not sure has a `# check:` comment.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from watcher.kinds.api_model import Operation, ServiceApi, Shape
from watcher.kinds.reading import READING_NAMES
from watcher.kinds.waiter_guesses import OwnId, dashed, is_param, message_of, noun_of, optional_of, result_of, times_of
from watcher.kinds.waiter_status import StatusPlace, UnusableWaiter, place_of, statuses_of
from watcher.yaml_text.writer import scalar

_MISSING = re.compile(r"NotFound|NoSuch|NotExist|Unknown", re.IGNORECASE)
"""Error codes that mean "no such task"."""
_MISSING_EVERYWHERE = frozenset({"NotFound", "NotFoundException", "ResourceNotFound", "ResourceNotFoundException"})
"""Codes that mean it for all services, so that `not_found` does not need them."""
_GENERAL = re.compile(r"Validation|BadRequest|InvalidParameter|InvalidInput|InvalidRequest", re.IGNORECASE)
"""Error codes that mean it with some messages only."""
_TIMES: Mapping[str, str] = {
    "created": "when the first status began",
    "started": "when the last open status before an end began",
    "updated": "when the current status began",
}
"""What a time of a kind must be."""
_ARN = "arn:[A-Za-z0-9_.:/+=,@-]{1,2000}"


def default_name(api: ServiceApi, waiter: str) -> str:
    """Return a name from the service and what the call describes: `glue-job-run`."""
    return f"{api.name}-{dashed(noun_of(api.operations[str(api.waiters[waiter]['operation'])].name))}"[:63]


def kind_from_waiter(api: ServiceApi, waiter: str, name: str) -> str:
    """Return an entry of the list `kinds`, which parses and fits the API. Raises UnusableWaiter with the reason."""
    acceptors = api.waiters[waiter]["acceptors"]
    operation = _operation(api, str(api.waiters[waiter]["operation"]))
    noun = noun_of(operation.name)
    place = place_of(acceptors, operation, noun)
    lines = [
        f"  # From botocore's waiter {waiter} of {api.name}, which calls {operation.name}.",
        f"  - name: {scalar(name)}",
        f"    service: {api.name}",
        f"    operation: {operation.method}",
        *_params(operation, place.own),
        f"    task: {scalar(place.task)}",
        *_id(place.own),
        f"    status: {scalar(place.status)}",
        *_facts(place, noun),
        "    statuses:",
        *(f"      {scalar(word)}: {class_}{_check(check)}" for word, class_, check in statuses_of(acceptors, place)),
        *_not_found(acceptors),
    ]
    return "\n".join(lines) + "\n"


def _operation(api: ServiceApi, method: str) -> Operation:
    operation = api.operations[method]
    if reason := operation.why_not_reading:
        raise UnusableWaiter(f"it calls {method}, which {reason}; the call of a kind must be one of {READING_NAMES}")
    return operation


def _params(operation: Operation, own: OwnId) -> Iterator[str]:
    """The identifiers, the own one last; constants for what else the API requires; and what else the call could have."""
    request = operation.request
    required = [name for name in request.required if is_param(request.members[name])]
    yield "    params:"
    for name in [*(name for name in required if name != own.param), own.param]:
        shape = request.members[name]
        by_reply = name == own.param and _is_arn(own.member) and not _is_arn(name)
        keys = {"pattern": f'"{_ARN}"'} if by_reply or _is_arn(name) else {}
        keys |= {"list": "true"} if shape is not None and shape.type == "list" else {}
        question = f"the reply has the ARN ({own.member}), so a task is named by its ARN; the call must accept it" if by_reply else ""
        yield f"      {name}: {{{', '.join(f'{key}: {value}' for key, value in keys.items())}}}{_check(question)}"
    others = [name for name in optional_of(operation) if name not in (*required, own.param)]
    if others:
        yield f"      # optional request parameters; add one only if a task cannot be found without it: {', '.join(others[:6])}"
    constants = [name for name in request.required if name not in required]
    if constants:
        yield "    extra:"
    for name in constants:
        yield f"      {name}: {_constant(name, request.members[name])}  # check: required by the API"


def _is_arn(name: str) -> bool:
    """Whether a parameter or a member has ARNs, by its name."""
    return re.search(r"arns?$", name, re.IGNORECASE) is not None


def _constant(name: str, shape: Shape | None) -> str:
    """A value that the API accepts for a required parameter that cannot be an identifier."""
    match None if shape is None else shape.type:
        case "boolean":
            return "true"
        case "integer" | "long" | "float" | "double":
            return "1"
        case "list":
            return "[]"
    raise UnusableWaiter(f"the API requires {name}, which is neither a string nor a number")


def _id(own: OwnId) -> Iterator[str]:
    question = "" if own.sure else f"the member that is equal to {own.param}"
    if not own.member:
        yield f"    id: false{_check(question)}, if there is one; with false, a reply is not compared with the task"
    elif own.member != own.param or question:
        yield f"    id: {scalar(_name(own.member))}{_check(question)}"


def _facts(place: StatusPlace, noun: str) -> Iterator[str]:
    """The times, the message, and a result to start from."""
    message = message_of(place.shape)
    for time in times_of(place.shape, noun):
        yield f"    {time.key}: {scalar(_name(time.member))}{_check('' if time.sure else f'{_TIMES[time.key]}, or leave this out')}"
    if message:
        yield f"    message: {scalar(_name(message))}"
    if members := result_of(place.shape, (place.own.member, message)):
        pairs = ", ".join(f"{key}: {_name(member)}" for key, member in members.items())
        yield f'    # result: "{{{pairs}}}"  # check: what events contain of a task'


def _not_found(acceptors: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """The error codes of the waiter that mean a missing task."""
    codes: dict[str, str] = {}
    for acceptor in acceptors:
        code = acceptor["expected"]
        if acceptor["matcher"] != "error" or not isinstance(code, str) or code in _MISSING_EVERYWHERE:
            continue
        if _MISSING.search(code):
            codes[code] = "null"
        elif _GENERAL.search(code) or acceptor["state"] == "success":
            codes[code] = '"not exist|not found"' + _check("the text of the error for a task that does not exist")
    if codes:
        yield "    not_found:"
    yield from (f"      {scalar(code)}: {value}" for code, value in codes.items())


def _check(what: str) -> str:
    return f"  # check: {what}" if what else ""


def _name(member: str) -> str:
    """Return a member's name as an expression."""
    return member if re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", member) else json.dumps(member)
