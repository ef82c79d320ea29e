"""Reads an input message: the tasks that it requests to watch, or the reason why it names none.

A message never chooses where calls or events go: it only names tasks. Members that would choose (`FORBIDDEN_MEMBERS`)
are ignored and counted. No error text repeats what was read.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain, islice
from typing import Any

from watcher.core.intake.aws_tasks import notified_task, recorded_task, recorded_tasks
from watcher.core.intake.envelopes import decode_message, unwrap
from watcher.core.intake.members import MAX_DEADLINE_S, check_version, context_of, deadline_of, task_token_of
from watcher.core.intake.observations import has_status, observation_of
from watcher.core.intake.recognition import NamedTask, first_kinds, kind_of_bare, read_task, tasks_in
from watcher.core.intake.references import DEFAULT_SCOPES, target_of, valid_ids
from watcher.core.intake.references import parse_ref as parse_ref
from watcher.core.intake.replies import Pasted
from watcher.core.intake.scopes import Targets
from watcher.core.intake.strict_json import JSON_SPACE, MAX_BODY, text_of
from watcher.core.intake.unwrapped import Unwrapped
from watcher.core.trace_context import of_members
from watcher.errors import InvalidInput
from watcher.kinds.catalog import Catalog
from watcher.kinds.kind import Kind
from watcher.model import DEFAULT_TARGET, Ignored, Scope, Submission, TaskRef

REASONS = frozenset(
    {"empty", "parse", "shape", "encoding", "depth", "duplicate_key", "number", "size", "field", "id", "kind", "version", "scope"}
)
"""Why an input names no task: the word in the dead letter, the log and the metric."""

MAX_BATCH = 5000
"""Tasks in one message. 256 KiB hold fewer valid ones; the limit bounds the work for a list of garbage."""
FORBIDDEN_MEMBERS = frozenset({"endpoint", "endpoint_url", "profile", "queue_url", "role_arn", "sink", "sinks", "topic_arn", "webhook_url"})
"""Members that would choose where calls or events go, or with whose permissions."""

ReadContext = Callable[[], str | InvalidInput | None]
"""Returns the context of the message with a task, or what is wrong with it."""

_FORM = frozenset({"empty", "parse", "shape", "field"})
"""Reasons for which the form of a message is wrong: their texts show a good message."""
_FLAT = {name.replace("_", ""): name for name in FORBIDDEN_MEMBERS}


def read(
    body: bytes,
    catalog: Catalog,
    *,
    now: float,
    scopes: Mapping[str, Scope] = DEFAULT_SCOPES,
    other_targets: bool = False,
    plain: bool = False,
    watch_notified: bool = False,
    max_body: int = MAX_BODY,
) -> Sequence[Submission | InvalidInput | Ignored]:
    """Return an entry for each task that a message names, and for each part that requires no action, in their order. Never raises.

    `now` is in seconds since the epoch. `scopes` has the configured targets, by name; `other_targets`: there may be further ones.
    `plain` reads all that is not JSON as a reference (`parse_ref`); else only what looks like one. `watch_notified`: a notification of
    AWS is a submission. `max_body` is in bytes.
    """
    targets = Targets(scopes, other_targets)
    try:
        text = text_of(body, max_body)
        if plain and text.lstrip(JSON_SPACE)[0] not in '{["':
            return [Submission(parse_ref(text, catalog, targets))]
        value = decode_message(text)
    except InvalidInput as error:
        return [_for_a_person(error, Unwrapped(""), catalog.default)]
    reader = _Reader(catalog, now, targets, watch_notified)
    found = (outcome for element in unwrap(value, catalog) for outcome in reader.outcomes(element))
    outcomes = list(islice(found, MAX_BATCH + 1))
    if len(outcomes) > MAX_BATCH:
        return [InvalidInput("size", f"the message names more than {MAX_BATCH} tasks; split it")]
    return outcomes


def with_trace(submission: Submission, trace: str | None) -> Submission:
    """Return the submission with this trace context, unless it already has one. `trace` is that of its envelope or message."""
    return submission if trace is None or submission.trace is not None else replace(submission, trace=trace)


def steering_members(body: bytes, catalog: Catalog) -> Sequence[str]:
    """Return the `FORBIDDEN_MEMBERS` of a message, in any spelling, each as often as it occurs. Never raises."""
    try:
        found = list(islice(unwrap(decode_message(text_of(body)), catalog), MAX_BATCH))
    except InvalidInput:
        return ()  # `read` reports it
    names = [_flat(name) for element in found if isinstance(element.content, Mapping) for name in element.content]
    return [_FLAT[name] for name in names if name in _FLAT]


@dataclass(frozen=True, slots=True)
class _Reader:
    """Reads elements without envelopes. The fields are the arguments of `read`."""

    catalog: Catalog
    now: float
    targets: Targets
    watch_notified: bool

    def outcomes(self, element: Unwrapped) -> Iterator[Submission | InvalidInput | Ignored]:
        """One outcome for each task in the element."""
        tasks = self._tasks(element)
        found = list(islice(tasks, 2))  # the rest only if the caller wants it: one element can have more than `MAX_BATCH` tasks
        content = element.content if isinstance(element.content, Mapping) else {}
        if len(found) == 1 and isinstance(found[0], Submission) and not found[0].poll_now:
            found = [self._outcome(element, partial(_with_token, found[0], content, element.beside))]
        return chain(found, tasks)

    def _tasks(self, element: Unwrapped) -> Iterator[Submission | InvalidInput | Ignored]:
        content = element.content
        if isinstance(content, InvalidInput):
            yield _for_a_person(content, element, self.catalog.default)
        elif isinstance(content, Ignored):
            yield content
        elif isinstance(content, str):
            yield self._outcome(element, lambda: Submission(parse_ref(content, self.catalog, self.targets)))
        elif element.notified:
            yield self._outcome(element, partial(self._notification, element, content))
        elif element.started:
            for pasted in recorded_tasks(element, content):
                yield self._outcome(element, partial(self._recorded, element, content, pasted), pasted)
        else:
            context = functools.cache(partial(_context_in, content))  # read once for all tasks of the element
            for pasted in tasks_in(content, self.catalog):
                yield self._outcome(element, partial(self._submission, content, pasted, context), pasted)

    def _outcome(
        self, element: Unwrapped, read_one: Callable[[], Submission | Ignored], pasted: Pasted | None = None
    ) -> Submission | InvalidInput | Ignored:
        try:
            found = read_one()
        except InvalidInput as error:
            return _for_a_person(error, element, self._kind_of_example(element, pasted), "" if pasted is None else pasted.place)
        return with_trace(found, element.trace) if isinstance(found, Submission) else found

    def _kind_of_example(self, element: Unwrapped, pasted: Pasted | None) -> Kind:
        """The kind of the good message that an error shows."""
        message = element.content if isinstance(element.content, Mapping) else {}
        named = message.get("kind")
        if isinstance(named, str) and named in self.catalog:
            return self.catalog[named]
        kinds = element.started or element.notified or (() if pasted is None else pasted.kinds)
        if not kinds:
            return kind_of_bare(message, self.catalog) or self.catalog.default
        return next((kind for kind in first_kinds(self.catalog) if kind in kinds), kinds[0])

    def _submission(self, message: Mapping[str, Any], pasted: Pasted | None, context: ReadContext) -> Submission:
        """`pasted` is the reply that is part of the message."""
        check_version(message)
        if message.get("target") is not None:
            self.targets.named(message["target"])
        found = read_task(message, pasted, self.catalog)
        target = self._target(message, found)
        return self._of_task(found, target, message, context)

    def _target(self, message: Mapping[str, Any], found: NamedTask) -> str:
        named = message.get("target")
        target = self.targets.named(named) if found.arn is None else target_of(found.arn, named, self.targets)
        self.targets.check_region(target, message.get("region"))
        return target

    def _of_task(self, found: NamedTask, target: str, message: Mapping[str, Any], read_context: ReadContext = lambda: None) -> Submission:
        kind = found.kind
        ref = TaskRef(kind.name, valid_ids(kind, found.values, [message, found.task], of_arn=found.arn is not None), target)
        context = read_context()
        if isinstance(context, InvalidInput):
            raise context
        deadline = deadline_of(message, self.now)
        observation = observation_of(kind, found.task, self.now)
        look_now = observation is None and has_status(kind, found.task)
        submission = Submission(ref, context, deadline, observation=observation, look_now=look_now, trace=of_members(message))
        if deadline is not None and deadline > MAX_DEADLINE_S:
            return replace(submission, deadline_s=MAX_DEADLINE_S, deadline_reduced=True)
        return submission

    def _recorded(self, element: Unwrapped, reply: Mapping[str, Any], pasted: Pasted | None) -> Submission:
        """A task that a recorded call started."""
        target = self._place(element)
        found = recorded_task(element, reply, pasted, self.catalog)
        return self._of_task(found, target, {})

    def _notification(self, element: Unwrapped, detail: Mapping[str, Any]) -> Submission | Ignored:
        """Without `watch_notified`, a notification of another account or Region is about no task that is watched."""
        found = notified_task(element, detail, self.catalog)
        if isinstance(found, Ignored):
            return found
        ids = valid_ids(found.kind, found.values, [detail], of_arn=found.arn is not None)
        try:
            target = self._place(element)
        except InvalidInput:
            if self.watch_notified:
                raise
            target = DEFAULT_TARGET
        return Submission(TaskRef(found.kind.name, ids, target), poll_now=True)

    def _place(self, element: Unwrapped) -> str:
        """The target in whose account and Region AWS itself says that something happened. Raises InvalidInput: scope."""
        return self.targets.at(element.region, element.account, prefer_default=True)


def _context_in(message: Mapping[str, Any]) -> str | InvalidInput | None:
    """The context in a message, or what is wrong with it. Without a traceback, which would keep the whole message in memory."""
    try:
        return context_of(message.get("context"))
    except InvalidInput as error:
        return InvalidInput(error.reason, error.detail)


def _with_token(submission: Submission, message: Mapping[str, Any], beside: Mapping[str, Any]) -> Submission:
    """The submission with the task token of its message, or with that beside it. Raises InvalidInput: field."""
    token = task_token_of(message) or task_token_of(beside)
    return submission if token is None else replace(submission, task_token=token)


def _for_a_person(error: InvalidInput, element: Unwrapped, kind: Kind, place: str = "") -> InvalidInput:
    """The error with its place, the envelopes that were recognized, and a good message. Without a traceback, which would keep the
    whole body in memory for as long as the error exists."""
    inside = f" (in {' in '.join(reversed(element.envelopes))})" if element.envelopes else ""
    good = f"; a good message: {good_message(kind)}" if error.reason in _FORM and all(param.example for param in kind.params) else ""
    return InvalidInput(error.reason, element.place + place + error.detail + inside + good)


def good_message(kind: Kind) -> str:
    """The shortest message that names a task of this kind, as JSON."""
    return json.dumps({"kind": kind.name, **{param.field: param.example for param in kind.params}})


def _flat(name: str) -> str:
    return name.lower().replace("_", "").replace("-", "")
