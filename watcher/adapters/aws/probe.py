"""Reads the state of tasks from AWS: `ports.Probe` for every kind of the catalog. Must not wait, retry or log."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from watcher.adapters.aws.batch_reply import read_batch_reply, request_ids
from watcher.adapters.aws.missing_task import missing_task
from watcher.adapters.aws.reply import read_reply
from watcher.adapters.aws.session import AwsClients
from watcher.errors import BatchFailed, CredentialsRejected, Denied, Invalid, NotFound, RemoteError, Unreadable
from watcher.kinds.catalog import Catalog
from watcher.kinds.kind import Kind
from watcher.model import DEFAULT_TARGET, Observation, TaskRef


class AwsProbe:
    """Makes one call for each `observe`. `call_deadline` is in seconds; `clock` returns wall seconds.

    Clients are created at the first use. Sources and sinks may share `aws`, which its creator closes. `targets` has the
    clients of the other targets by name, which this class closes.
    """

    def __init__(
        self,
        aws: AwsClients,
        catalog: Catalog,
        *,
        targets: Mapping[str, AwsClients] = MappingProxyType({}),
        call_deadline: float,
        clock: Callable[[], float],
    ) -> None:
        self._targets = targets
        self._clients: Mapping[str, AwsClients] = {DEFAULT_TARGET: aws, **targets}
        self._catalog = catalog
        self._call_deadline = call_deadline
        self._clock = clock

    async def open(self) -> None:
        """Do nothing: credentials that are missing now may come later, so a start does not fail for them."""

    async def close(self) -> None:
        """Close the connections of all targets but the default one. May be called twice."""
        for clients in self._targets.values():
            await clients.close()

    async def observe(self, refs: Sequence[TaskRef]) -> Sequence[Observation | RemoteError]:
        """Make one call about tasks of one batch group. Raises a `RemoteError`, or ValueError for tasks that one call cannot be about.

        Raises `BatchFailed` where the error of a call about several tasks may have been caused by one of them. An error of
        a call about one task is marked as `alone` if it would make a call about more tasks fail too.
        """
        kind, first = self._kind(refs), refs[0]
        operation, batch = kind.operation_for(len(refs)), kind.batch
        params = {param.name: [value] if param.in_list else value for param, value in zip(kind.params, first.params, strict=True)}
        if batch is None or operation != batch.operation:
            return [await self._observe_one(kind, first, params)]
        del params[kind.params[-1].name]
        try:
            reply = await self._call(kind, operation, {**params, batch.param: request_ids(refs)}, first.target)
        except RemoteError as error:
            raise _of_batch(error, len(refs)) from None
        return read_batch_reply(kind, batch, refs, reply, self._clock())

    async def _observe_one(self, kind: Kind, ref: TaskRef, params: Mapping[str, Any]) -> Observation:
        """Make the kind's own call about one task. A task that is not found may share the next call, which does not fail for it."""
        try:
            reply = await self._call(kind, kind.operation, params, ref.target)
            return read_reply(kind, ref, reply, self._clock())
        except RemoteError as error:
            error.alone = kind.batch is not None and _about_a_task(error) and not isinstance(error, NotFound)
            raise

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

    async def _call(self, kind: Kind, operation: str, params: Mapping[str, Any], target: str) -> Any:
        params = {**params, **kind.extra}
        return await self._of(target).call(kind.service, operation, params, deadline=self._call_deadline, not_found=kind.not_found)

    def _of(self, target: str) -> AwsClients:
        """The clients of a target. If it is not configured, the setup is wrong, which ends no watch."""
        clients = self._clients.get(target)
        if clients is None:
            raise CredentialsRejected("UnknownTarget", "no such target is configured", unsent=True)
        return clients

    async def check(self) -> str:
        """Poll a task of the default kind that cannot exist: the answer "not found" means that the call is permitted."""
        return await self.check_kind(self._catalog.default)

    async def check_kind(self, kind: Kind, target: str = DEFAULT_TARGET, *, account: str | None = None) -> str:
        """Poll a task of this kind and target that cannot exist. Raises the error of the call, unless the task is not found.

        `account` is that of the target, if it is known, for ids that name it.
        """
        missing = missing_task(kind, target, self._of(target).region(), account)
        found = []
        for operation in kind.operations:
            refs = [missing] * (1 if operation == kind.operation else 2)  # of a task that is named twice, the id is sent once
            try:
                found.append(f"{operation} {await self._answer(refs)}")
            except Denied as error:
                raise Denied(error.code, f"{operation}, {error.detail}" if error.detail else operation) from None
        return ", ".join(found)

    async def _answer(self, refs: Sequence[TaskRef]) -> str:
        """What the answer about a task that cannot exist shows. Raises the error of the call, unless the task is not found."""
        try:
            outcome = (await self.observe(refs))[0]
        except BatchFailed as error:
            outcome = error.cause
        except NotFound as error:
            outcome = error
        if isinstance(outcome, NotFound):
            return "is permitted"
        if isinstance(outcome, RemoteError) and not isinstance(outcome, BatchFailed):
            raise outcome
        return "answered"

    async def refresh(self, target: str) -> None:
        """Discard the current credentials of a target and fetch new ones, with one attempt."""
        await self._of(target).refresh()


def _of_batch(error: RemoteError, tasks: int) -> RemoteError:
    """The error of a call of a kind with batches, with what it means for the next call about these tasks."""
    if _about_a_task(error) and tasks > 1:
        return BatchFailed(error)
    error.alone = _about_a_task(error)
    return error


def _about_a_task(error: RemoteError) -> bool:
    """Whether one of the tasks of a call may have caused its error."""
    return isinstance(error, Denied | Invalid | NotFound) or (isinstance(error, Unreadable) and not error.foreign)
