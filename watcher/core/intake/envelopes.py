"""Removes the envelopes that SNS, EventBridge, CloudEvents, Lambda, Pipes, and Step Functions put around a message.

It also splits lists, which are batches. It only unwraps. A URL in an envelope is never requested.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from itertools import chain, islice
from typing import Any

from watcher.core.intake.aws_events import read_aws_event
from watcher.core.intake.members import TASK_TOKEN
from watcher.core.intake.recognition import first_kinds, names_task
from watcher.core.intake.references import parse_ref
from watcher.core.intake.replies import pasted_replies
from watcher.core.intake.strict_json import JSON_SPACE, decode_text, text_of
from watcher.core.intake.task_arns import PREFIX
from watcher.core.intake.task_objects import objects_inside
from watcher.core.intake.unwrapped import Unwrapped
from watcher.core.trace_context import of_members, of_message_attributes
from watcher.errors import InvalidInput
from watcher.kinds.catalog import Catalog
from watcher.model import Ignored

MAX_LAYERS = 5
"""Envelopes inside each other. The longest useful chain is Lambda's `Records`, a record, SNS, EventBridge, and a CloudEvent."""

EVENT, RECORDS, STATE = "an EventBridge event", "a Records event", "a Step Functions input"

_CONFIRMATIONS = ("SubscriptionConfirmation", "UnsubscribeConfirmation")
_REFERENCE = re.compile(r"[^\s\"'<>{}\[\],/]+(?:/[^\s\"'<>{}\[\],/]*)+")
_ARN = re.compile(rf"{PREFIX}[^\s\"'<>{{}}\[\],]+")
_FOR_THE_TASK = ("context", "deadline_s", "deadline_at", "traceparent", "tracestate")
"""Members beside a state's input that are meant for the task in it."""


def is_reference(text: str) -> bool:
    """Whether a text that is not JSON looks like `VoiceConnectorId/TaskId`, words with slashes between them, or like an ARN."""
    stripped = text.strip(JSON_SPACE)
    return _REFERENCE.fullmatch(stripped) is not None or _ARN.fullmatch(stripped) is not None


def decode_message(text: str) -> Any:
    """Return the value of a JSON text, or the text itself if it looks like a reference. Raises InvalidInput."""
    return text.strip(JSON_SPACE) if is_reference(text) else decode_text(text)


def unwrap(value: Any, catalog: Catalog) -> Iterator[Unwrapped]:
    """Yield each element of a decoded message. Never raises.

    Elements are unwrapped one by one, so a caller that stops early unwraps no more than it needs.
    """
    return _unwrap(value, catalog, ())


def _unwrap(value: Any, catalog: Catalog, envelopes: tuple[str, ...], *, looking: bool = False) -> Iterator[Unwrapped]:
    """`looking`: only whether something names a task matters, so the input of what names one itself is not unwrapped.

    Otherwise each envelope would be unwrapped twice inside the one around it: 32 times within five.
    """
    if isinstance(value, list):
        yield from _batch(value, catalog, envelopes, looking)
        return
    try:
        found = _one(value, catalog, envelopes, looking)
    except InvalidInput as error:
        found = [_invalid(error, envelopes)]
    yield from found


def _batch(values: list[Any], catalog: Catalog, envelopes: tuple[str, ...], looking: bool) -> Iterator[Unwrapped]:
    if not values:
        yield _invalid(InvalidInput("shape", "the list is empty; put at least one task in it"), envelopes)
    for number, value in enumerate(values, start=1):
        if isinstance(value, list):
            error = InvalidInput("shape", "expected an object, got a list inside a list")
            inner: Iterable[Unwrapped] = [_invalid(error, envelopes)]
        else:
            inner = _unwrap(value, catalog, envelopes, looking=looking)
        for element in inner:
            yield replace(element, place=f"element {number}: {element.place}")


def _invalid(error: InvalidInput, envelopes: tuple[str, ...]) -> Unwrapped:
    """Without the traceback, which would keep the whole message in memory."""
    return Unwrapped(InvalidInput(error.reason, error.detail), envelopes=envelopes)


def _one(value: Any, catalog: Catalog, envelopes: tuple[str, ...], looking: bool) -> Iterable[Unwrapped]:
    if isinstance(value, str) and is_reference(value):
        return [Unwrapped(value, envelopes=envelopes)]
    if not isinstance(value, Mapping):
        raise InvalidInput("shape", "expected an object, a list of objects, or a string such as VoiceConnectorId/TaskId")
    if value.get("Type") in _CONFIRMATIONS:
        return [Unwrapped(Ignored(f"SNS {value['Type']}"))]
    event = read_aws_event(value, catalog)
    if event is not None and (looking or not _is_about_an_input(event, catalog, envelopes)):
        return [replace(event, envelopes=envelopes + event.envelopes)]
    opened = _envelope(value, catalog, envelopes, looking)
    if opened is None:
        return [Unwrapped(value, envelopes=envelopes)]
    if len(envelopes) == MAX_LAYERS:
        raise InvalidInput("depth", f"the task is inside more than {MAX_LAYERS} envelopes")
    name, content = opened
    inside = (*envelopes, name)
    try:
        decoded = decode_message(content) if isinstance(content, str) else content
    except InvalidInput as error:
        return [_invalid(error, inside)]
    trace, elements = _trace(value), _unwrap(decoded, catalog, inside, looking=looking)
    if name == STATE and (token := _token_beside(value)):
        elements = _for_the_only_one(elements, token)
    return elements if trace is None else (replace(each, trace=each.trace or trace) for each in elements)


def _is_about_an_input(event: Unwrapped, catalog: Catalog, envelopes: tuple[str, ...]) -> bool:
    """Whether a notification about an execution of Step Functions has an input that names a task. Then that task is meant."""
    if not event.notified or not isinstance(event.content, Mapping) or any(kind in first_kinds(catalog) for kind in event.notified):
        return False
    return any(name in event.content and _holds_task(event.content[name], catalog, envelopes) for name in ("input", "Input"))


def _trace(envelope: Mapping[str, Any]) -> str | None:
    """The trace context of an envelope: the extension attributes of a CloudEvent, the message attributes of SQS and SNS."""
    if "specversion" in envelope:
        return of_members(envelope)
    topic = envelope.get("Sns")
    notification = topic if isinstance(topic, Mapping) else envelope
    return of_message_attributes(envelope.get("messageAttributes") or notification.get("MessageAttributes"))


def _token_beside(state: Mapping[str, Any]) -> Mapping[str, Any]:
    """The task token beside an input, or in the context object of a state."""
    task = state.get("Task")
    of_context = {TASK_TOKEN[0]: task["Token"]} if "Execution" in state and isinstance(task, Mapping) and "Token" in task else {}
    return {name: state[name] for name in TASK_TOKEN if name in state} or of_context


def _for_the_only_one(elements: Iterator[Unwrapped], beside: Mapping[str, Any]) -> Iterator[Unwrapped]:
    """A task token is answered once, so it is for one task. The innermost one counts."""
    first = list(islice(elements, 2))
    if len(first) == 1 and not first[0].beside:
        first = [replace(first[0], beside=beside)]
    return chain(first, elements)


def _envelope(value: Mapping[str, Any], catalog: Catalog, envelopes: tuple[str, ...], looking: bool) -> tuple[str, Any] | None:
    """The name of the envelope and its content; None for an object that is no envelope. Raises InvalidInput."""
    if value.get("Type") == "Notification" and "Message" in value:
        if not isinstance(value["Message"], str):
            raise InvalidInput("shape", "the Message of an SNS notification must be a string")
        return "an SNS notification", value["Message"]
    if "detail-type" in value and "detail" in value:
        return EVENT, value["detail"]
    if "specversion" in value:
        return "a CloudEvent", _cloud_event_data(value)
    if names_task(value, catalog, only_first=True):
        return None
    return _lambda_event(value) or _state_input(value, catalog, envelopes, looking)


def _cloud_event_data(value: Mapping[str, Any]) -> Any:
    if value["specversion"] != "1.0":
        raise InvalidInput("version", "the specversion of a CloudEvent must be 1.0")
    if value.get("data") is not None:
        return value["data"]
    packed = value.get("data_base64")
    if not isinstance(packed, str):
        raise InvalidInput("shape", "the CloudEvent has no data")
    try:
        body = base64.b64decode(packed, validate=True)
    except (binascii.Error, ValueError):
        raise InvalidInput("encoding", "the data_base64 of the CloudEvent is not base64") from None
    return text_of(body)


def _lambda_event(value: Mapping[str, Any]) -> tuple[str, Any] | None:
    """What Lambda and EventBridge Pipes hand over: `Records`, or one record of a queue or a topic."""
    if isinstance(value.get("Records"), list):
        return RECORDS, value["Records"]
    if value.get("eventSource") == "aws:sqs" and "body" in value:
        return "an SQS record", value["body"]
    topic = value.get("Sns")
    if value.get("EventSource") == "aws:sns" and isinstance(topic, Mapping) and "Message" in topic:
        return "an SNS record", topic["Message"]
    return None


def _state_input(value: Mapping[str, Any], catalog: Catalog, envelopes: tuple[str, ...], looking: bool) -> tuple[str, Any] | None:
    """The input of a Step Functions execution, or the result of a state under any name (`ResultPath`).

    A reply about an execution has both the ARN of the execution and its input: the input counts if it names a task.
    """
    execution = value.get("Execution")
    if isinstance(execution, Mapping) and "Input" in execution:
        return STATE, execution["Input"]
    is_task = names_task(value, catalog)
    if is_task and looking:
        return None
    for name in ("input", "Input"):
        if isinstance(value.get(name), Mapping | list | str) and not (is_task and not _holds_task(value[name], catalog, envelopes)):
            return STATE, _with_members(value[name], value)
    first = first_kinds(catalog)
    found = [(inner, pasted_replies(inner, catalog)) for inner in objects_inside(value)]
    results = [inner for inner, pasted in found if any(kind in first for each in pasted for kind in each.kinds)]
    if not results and not is_task:
        results = [inner for inner, pasted in found if pasted]
    return (STATE, _with_members(results[0], value)) if len(results) == 1 else None


def _holds_task(content: Any, catalog: Catalog, envelopes: tuple[str, ...]) -> bool:
    """Whether a value, or a JSON text, names a task, in envelopes or not. Never raises.

    The limit of envelopes bounds the work: this looks at a part of what is unwrapped later.
    """
    if len(envelopes) >= MAX_LAYERS:
        return False
    try:
        decoded = decode_message(content) if isinstance(content, str) else content
    except InvalidInput:
        return False
    return any(_names(each, catalog) for each in _unwrap(decoded, catalog, (*envelopes, STATE), looking=True))


def _names(element: Unwrapped, catalog: Catalog) -> bool:
    if isinstance(element.content, Mapping):
        return bool(element.notified or element.started) or names_task(element.content, catalog)
    if not isinstance(element.content, str):
        return False
    try:
        parse_ref(element.content, catalog)
    except InvalidInput as error:
        return error.reason == "scope"
    return True


def _with_members(content: Any, outer: Mapping[str, Any]) -> Any:
    """The content with the members for its task that stand beside it."""
    if not isinstance(content, Mapping):
        return content
    return {**{name: outer[name] for name in _FOR_THE_TASK if name in outer}, **content}
