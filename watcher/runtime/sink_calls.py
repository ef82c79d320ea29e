"""One attempt at a sink: whatever goes wrong has a name, and a write to a disk that hangs is noticed. Does not retry."""

from __future__ import annotations

from collections.abc import Sequence

import structlog

from watcher.errors import PeerGone, RemoteError, Unreadable
from watcher.model import Event
from watcher.ports import LocalSink, Outcome, Sink
from watcher.runtime.instruments import Instruments

log = structlog.get_logger("watcher.delivery")


class SinkCalls:
    """The attempts at one sink."""

    def __init__(self, sink: Sink, instruments: Instruments) -> None:
        self._sink = sink
        self._is_local = isinstance(sink, LocalSink)
        self._clock = instruments.clock
        self._writes = instruments.writes
        self._tracer = instruments.tracer

    def adopt(self, shard: int) -> None:
        """The events of this shard are sent here from now on; another replica may have sent them before. Nothing to do without tokens."""

    async def send(self, events: Sequence[Event]) -> Sequence[Outcome]:
        """The outcome of each event. Raises what `Sink.send` raises; anything else is a bug in the sink, and `Unreadable`."""
        with self._tracer.delivery(self._sink.name, events) as span:
            outcomes = await self._send(events)
            span.sent(outcomes)
        return outcomes

    async def settled(self, events: Sequence[Event]) -> None:
        """These events are delivered, or dead letters, and recorded. Nothing is left to do for a sink without task tokens."""

    async def _send(self, events: Sequence[Event]) -> Sequence[Outcome]:
        began = self._writes.begin(f"sink:{self._sink.name}", self._clock.mono()) if self._is_local else None
        try:
            return await self._sink.send(events)
        except (RemoteError, PeerGone):
            raise
        except Exception as error:
            hint = "this is a bug in the sink: please report it"
            log.exception("sink_raised_unexpectedly", sink=self._sink.name, error=type(error).__name__, hint=hint)
            raise Unreadable("defect", "the code of the sink failed") from error
        finally:
            if began is not None:
                self._writes.end(began)
