"""Asks AWS about one task: `ports.Probe` over any kind that is a Get call. May not wait, repeat or log."""

from __future__ import annotations

import uuid
from collections.abc import Callable

from watcher.adapters.aws.reply import read_reply
from watcher.adapters.aws.session import AwsClients
from watcher.errors import Invalid, NotFound
from watcher.kinds import KINDS
from watcher.model import Observation, TaskRef


class AwsProbe:
    """One Get for each observation. `call_deadline` is in seconds, `clock` tells wall time.

    The clients are made on first use, and belong to whoever made `aws`: they may be shared with sources and sinks.
    """

    def __init__(self, aws: AwsClients, *, call_deadline: float, clock: Callable[[], float]) -> None:
        self._aws = aws
        self._call_deadline = call_deadline
        self._clock = clock

    async def open(self) -> None:
        """Nothing to open: credentials that are missing now may come, and a start need not fail for them."""

    async def close(self) -> None:
        """Nothing of its own to close."""

    async def observe(self, ref: TaskRef) -> Observation:
        """One wire request, one observation. Raises a `RemoteError` and nothing else."""
        kind = KINDS.get(ref.kind)
        if kind is None or len(ref.params) != len(kind.params):
            raise Invalid("kind", "not a task this version can ask about")
        ids = {param.name: value for param, value in zip(kind.params, ref.params, strict=True)}
        params = {**ids, **kind.also}
        reply = await self._aws.call(kind.service, kind.operation, params, deadline=self._call_deadline)
        return read_reply(kind, ref, reply, self._clock())

    async def check(self) -> str:
        """Ask about a task that cannot exist: to be told so means that asking is permitted."""
        kind = next(iter(KINDS.values()))
        nowhere = TaskRef(kind.name, (*(str(uuid.uuid4()) for _ in kind.params),))
        try:
            await self.observe(nowhere)
        except NotFound:
            return f"{kind.operation} is permitted"
        return f"{kind.operation} answered"

    async def refresh(self) -> None:
        """Forget the credentials at hand and fetch others, once."""
        await self._aws.refresh()
