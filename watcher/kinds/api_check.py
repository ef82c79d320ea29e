"""Compares a kind with the model of its API: operation, parameters, paths, and statuses. Pure.

A mistake has the key inside the kind, such as `("batch", "param")`, and says what is wrong and how to correct it. What the model
does not say, such as the values of a status without an enum, is not a mistake.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence

from watcher.kinds.api_model import Operation, ServiceApi, ServiceApis, Shape, nearest
from watcher.kinds.api_requests import Mistake, batch_request_mistakes, request_mistakes
from watcher.kinds.form import KindForm
from watcher.kinds.form_parts import BatchForm
from watcher.kinds.path_shapes import a, shape_found
from watcher.kinds.reading import READING_NAMES
from watcher.yaml_text import KeyPath

_PATHS: Mapping[str, tuple[str, ...]] = {
    "id": ("string",),
    "status": ("string",),
    "created": ("timestamp", "long"),
    "started": ("timestamp", "long"),
    "updated": ("timestamp", "long"),
    "message": ("string",),
}
"""The paths over the task, and what each must find, the usual shape first. A long is a time in milliseconds."""
_NOT_JSON = frozenset({"timestamp", "blob"})
"""What the SDK does not return as JSON, so that no result can contain it."""
_MEMBER_TYPES: Mapping[str, frozenset[str]] = {
    "object": frozenset({"structure", "map"}),
    "list": frozenset({"list"}),
    "string": frozenset({"string"}),
    "number": frozenset({"integer", "long", "float", "double", "number"}),
}
"""The shapes that a type of `types` stands for."""


def check_kind(form: KindForm, apis: ServiceApis) -> Sequence[Mistake]:
    """Return each mistake in a kind, with its key inside the kind. Loads the model of the kind's service."""
    if form.service not in apis.services:
        return [(("service",), f'botocore has no service "{form.service}"; {nearest(form.service, apis.services)}')]
    check = _KindCheck(form, apis.service(form.service))
    check.run()
    return list(dict.fromkeys(check.mistakes))  # a batch call by the same operation repeats the mistakes of the other one


class _KindCheck:
    """Collects the mistakes of one kind."""

    def __init__(self, form: KindForm, api: ServiceApi) -> None:
        self.mistakes: list[Mistake] = []
        self._form = form
        self._api = api
        self._own_is_wrong = False
        """Whether the API does not have the last param: then nothing is known about a default made of its name."""

    def run(self) -> None:
        """Compare the call about one task, then the one about many tasks."""
        if operation := self._operation(("operation",), self._form.operation):
            self._own_is_wrong = next(reversed(self._form.params)) not in operation.request.members
            self.mistakes += request_mistakes(self._form, operation)
            self._check_task(self._object(("task",), self._form.task, operation.reply))
        if self._form.batch is not None:
            self._check_batch(self._form.batch)

    def _operation(self, key: KeyPath, method: str) -> Operation | None:
        """Return an operation that can be used, or note why there is none."""
        operation = self._api.operations.get(method)
        if operation is None:
            self.mistakes.append((key, f"{self._api.name} has no operation {method}; {nearest(method, self._api.operations)}"))
        elif reason := operation.why_not_reading:
            self.mistakes.append((key, f"{method} {reason}; use an operation that only reads: one of {READING_NAMES}"))
            return None
        return operation

    def _found(self, key: KeyPath, text: str, shape: Shape | None, *expected: str) -> Shape | None:
        """Return what a path finds, and note names that do not exist, and a shape that is not the expected one."""
        found = shape_found(text, shape, lambda what: self.mistakes.append((key, what)))
        if found is not None and expected and found.type not in (*expected, "null"):
            self.mistakes.append((key, f"finds {a(found)}, expected {a(Shape(expected[0]))}"))
            return None
        return found

    def _object(self, key: KeyPath, text: str, shape: Shape | None) -> Shape | None:
        found = self._found(key, text, shape)
        if found is None or found.type in ("structure", "map"):
            return found
        advice = "; add [0] for its first element" if found.type == "list" else ""
        self.mistakes.append((key, f"finds {a(found)}, expected an object{advice}"))
        return None

    def _check_task(self, task: Shape | None) -> None:
        """Compare what is relative to the task. If its shape is not known, there are no mistakes."""
        for key, expected in _PATHS.items():
            text = self._id(task) if key == "id" else getattr(self._form, key)
            found = None if text is None else self._found((key,), text, task, *expected)
            if key == "status" and found is not None and found.enum:
                self._check_statuses(found.enum)
        for member, type_ in self._form.types.items():
            self._check_type(member, type_, task)
        if self._form.result is not None:
            self._check_result(self._object(("result",), self._form.result, task))

    def _id(self, task: Shape | None) -> str | None:
        """Return the path to the id, None for a reply without one. Notes a default that the task does not have."""
        if self._form.id is not None:
            return self._form.id or None
        own = next(reversed(self._form.params))
        if task is None or task.type != "structure" or own in task.members:
            return json.dumps(own)
        if not self._own_is_wrong:
            strings = [name for name, shape in task.members.items() if shape is None or shape.type == "string"]
            advice = f"write id: with the member that has the identifier ({nearest(own, strings)}), or id: false if there is none"
            self.mistakes.append((("id",), f"the task has no member {own}; {advice}"))
        return None

    def _check_statuses(self, words: Sequence[str]) -> None:
        missing = [word for word in words if word not in self._form.statuses]
        for status in self._form.statuses:
            if status not in words:
                self.mistakes.append((("statuses", status), f"the API has no such status; {nearest(status, missing or words)}"))
        if missing:
            verb = "is" if len(missing) == 1 else "are"
            self.mistakes.append((("statuses",), f"{', '.join(missing)} {verb} missing; classify every status of the API"))

    def _check_type(self, member: str, type_: str, task: Shape | None) -> None:
        found = self._found(("types", member), member, task)
        for _ in range(member.count("[*]")):  # each one makes a list of what it finds
            found = None if found is None else found.element
        if found is not None and found.type not in _MEMBER_TYPES[type_]:
            self.mistakes.append((("types", member), f"is {a(found)} in the API, and cannot be {type_}"))

    def _check_result(self, result: Shape | None) -> None:
        """Compare the result, and the paths over it."""
        if inside := next(_not_json(result, (), ()), None):
            self.mistakes.append((("result",), f"contains {inside}, which JSON does not have; choose other members of the task"))
        for key in ("settled", "count"):
            if text := getattr(self._form, key):
                self._found((key,), text, result)
        for index, text in enumerate(self._form.private or ()):
            self._found(("private", index), text, result)

    def _check_batch(self, batch: BatchForm) -> None:
        operation = self._operation(("batch", "operation"), batch.operation)
        if operation is None:
            return
        self.mistakes += batch_request_mistakes(self._form, operation)
        items = self._found(("batch", "items"), batch.items, operation.reply, "list")
        task = None if items is None else items.element
        self._check_task(task)
        self._found(("batch", "id"), batch.id, task, "string")
        failures = None if batch.failures is None else self._found(("batch", "failures"), batch.failures, operation.reply, "list")
        failure = None if failures is None else failures.element
        for key, text in (("failure_id", batch.failure_id), ("failure_code", batch.failure_code)):
            if text is not None:
                self._found(("batch", key), text, failure, "string")


def _not_json(shape: Shape | None, path: tuple[str, ...], outer: tuple[str, ...]) -> Iterator[str]:
    """Yield each timestamp and each binary value in a result, as `a timestamp (CreatedAt)`. `outer` are the shapes around it."""
    if shape is None or (shape.name and shape.name in outer):
        return
    if shape.type in _NOT_JSON:
        yield f"{a(shape)} ({'.'.join(filter(None, path))})"
    for name, inner in shape.load().items():
        yield from _not_json(inner, (*path, name), (*outer, shape.name))
