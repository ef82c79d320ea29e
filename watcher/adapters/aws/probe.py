"""Reads the state of tasks from AWS: `ports.Probe` for every kind of the catalog. Must not wait, retry or log."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence

from watcher.adapters.aws.reply import read_reply
from watcher.adapters.aws.session import AwsClients
from watcher.errors import Invalid, NotFound, RemoteError
from watcher.kinds.catalog import Catalog
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
        """Make one Get for one task. Raises a `RemoteError`, and ValueError for another number of tasks than one.

        No kind reads several tasks in one call yet, so `refs` of a kind with a larger `batch_size` raises ValueError as well.
        """
        if len(refs) != 1:
            raise ValueError(f"expected one task in a call, got {len(refs)}")
        ref = refs[0]
        kind = self._catalog.get(ref.kind)
        if kind is None or len(ref.params) != len(kind.params):
            raise Invalid("kind", "this version has no such kind, or the kind has other parameters")
        ids = {param.name: value for param, value in zip(kind.params, ref.params, strict=True)}
        reply = await self._aws.call(kind.service, kind.operation, {**ids, **kind.extra}, deadline=self._call_deadline)
        return [read_reply(kind, ref, reply, self._clock())]

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
