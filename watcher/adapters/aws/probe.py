"""Reads the state of tasks from AWS: `ports.Probe` for every kind of the catalog. Must not wait, retry or log."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from watcher.adapters.aws.batch_reply import read_batch_reply, request_ids
from watcher.adapters.aws.reply import read_reply
from watcher.adapters.aws.session import AwsClients
from watcher.errors import BatchFailed, Denied, Invalid, NotFound, RemoteError, Unreadable
from watcher.kinds.catalog import Catalog
from watcher.kinds.kind import Kind
from watcher.model import Observation, TaskRef


class AwsProbe:
    """Makes one call for each `observe`. `call_deadline` is in seconds; `clock` returns wall seconds.

    Clients are created at the first use. They belong to `aws`, which sources and sinks may share.
    """

    def __init__(self, aws: AwsClients, catalog: Catalog, *, call_deadline: float, clock: Callable[[], float]) -> None:
        self._aws = aws
        self._catalog = catalog
        self._call_deadline = call_deadline
        self._clock = clock

    async def open(self) -> None:
        """Do nothing: credentials that are missing now may come later, so a start does not fail for them."""

    async def close(self) -> None:
        """Do nothing: the clients belong to `aws`, which its creator closes."""

    async def observe(self, refs: Sequence[TaskRef]) -> Sequence[Observation | RemoteError]:
        """Make one call about tasks of one batch group. Raises a `RemoteError`, and ValueError for tasks that no call can be about.

        Raises `BatchFailed` where the error of a call about several tasks may have been caused by one of them. An error of
        a call about one task is marked as `alone` if it would make a call about more tasks fail too.
        """
        kind, first = self._kind(refs), refs[0]
        params = {param.name: [value] if param.in_list else value for param, value in zip(kind.params, first.params, strict=True)}
        if kind.batch is None:
            reply = await self._call(kind, kind.operation, params)
            return [read_reply(kind, first, reply, self._clock())]
        del params[kind.params[-1].name]
        try:
            reply = await self._call(kind, kind.batch.operation, {**params, kind.batch.param: request_ids(refs)})
        except RemoteError as error:
            raise _of_batch(error, len(refs)) from None
        return read_batch_reply(kind, kind.batch, refs, reply, self._clock())

    def _kind(self, refs: Sequence[TaskRef]) -> Kind:
        """The kind of tasks that one call can be about."""
        if len({(ref.kind, ref.target, ref.params[:-1]) for ref in refs}) != 1:
            raise ValueError("expected tasks of one batch group")
        kind = self._catalog.get(refs[0].kind)
        if kind is None or len(refs[0].params) != len(kind.params):
            raise Invalid("kind", "this version has no such kind, or the kind has other parameters")
        if len(refs) > kind.batch_size:
            raise ValueError(f"expected at most {kind.batch_size} tasks in a call, got {len(refs)}")
        return kind

    async def _call(self, kind: Kind, operation: str, params: Mapping[str, Any]) -> Any:
        return await self._aws.call(
            kind.service, operation, {**params, **kind.extra}, deadline=self._call_deadline, not_found=kind.not_found
        )

    async def check(self) -> str:
        """Get a task of the default kind that cannot exist: the answer "not found" means that the call is permitted."""
        kind = self._catalog.default
        missing = TaskRef(kind.name, tuple(str(uuid.uuid4()) for _ in kind.params))
        try:
            await self.observe([missing])
        except NotFound:
            return f"{kind.operation} is permitted"
        return f"{kind.operation} answered"

    async def refresh(self, target: str) -> None:
        """Discard the current credentials of a target and fetch new ones, with one attempt."""
        await self._aws.refresh()


def _of_batch(error: RemoteError, tasks: int) -> RemoteError:
    """The error of a call of a kind with batches, with what it means for the next call about these tasks."""
    about_a_task = isinstance(error, Denied | Invalid | NotFound) or (isinstance(error, Unreadable) and not error.foreign)
    if about_a_task and tasks > 1:
        return BatchFailed(error)
    error.alone = about_a_task
    return error
