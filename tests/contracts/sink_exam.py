"""The exam of the `Sink` port: every implementation sits it, by a subclass of `SinkExam` with a `desk` fixture.

The exam knows no adapter. What it needs from the other side of a sink (what arrived, an outage) it asks of the desk.
A sink on the far side of a network sits `RemoteSinkExam`, which adds the outage.
"""

from __future__ import annotations

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Sequence

import anyio
import pytest

from tests.process import HANG_S
from watcher.errors import RemoteError
from watcher.model import Event, EventType
from watcher.ports import Delivered, Rejected, Sink

PATIENCE = HANG_S
"""Seconds until an exam gives up. No test passes by waiting for it."""


def an_event(task: str = "t-1", sequence: int = 1, after: str | None = "IN_PROGRESS", *, terminal: bool = False, padding: int = 0) -> Event:
    """An event as the watcher makes them. `padding` is a number of bytes added to its body."""
    key = f"speaker-search/abc123/{task}"
    identity = hashlib.sha256(f"{key} {sequence}".encode()).hexdigest()[:32]
    kind_of_event = EventType.TRANSITION if after is not None else EventType.ENDED
    body = {
        "specversion": "1.0",
        "id": identity,
        "source": f"/watcher/speaker-search/us-east-1/abc123/{task}",
        "type": str(kind_of_event),
        "subject": key,
        "time": "2026-11-22T10:00:12.345Z",
        "datacontenttype": "application/json",
        "sequence": f"{sequence:010d}",
        "partitionkey": key,
        "data": {"to": after, "terminal": terminal, "context": {"call": 'Zoë <&> "\\u0000" \N{PILE OF POO}', "padding": "x" * padding}},
    }
    return Event(
        id=identity,
        key=key,
        kind="speaker-search",
        type=str(kind_of_event),
        to=after,
        terminal=terminal,
        at=1_795_341_612.345 + sequence,
        body=json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode(),
        position=sequence,
    )


class SinkDesk(ABC):
    """The examiner's side of one sink."""

    largest: int | None = None
    """A body of more bytes than this is refused for good. None: no limit of its own."""
    dedupes = False
    """The other side drops an event that comes again under its id."""

    @abstractmethod
    async def make(self) -> Sink:
        """The sink, not yet open."""

    @abstractmethod
    async def taken(self, count: int) -> Sequence[bytes]:
        """All bodies the other side holds, since the beginning, in the order in which it got them; waits until there are `count`."""

    async def open(self) -> Sink:
        """A sink that is open. Whoever opens closes."""
        sink = await self.make()
        await sink.open()
        return sink


class SinkExam:
    @pytest.fixture
    def desk(self) -> SinkDesk:
        raise NotImplementedError("an exam needs a desk")

    async def test_names_itself_and_its_limits(self, desk: SinkDesk) -> None:
        """A sink says its name, how much it takes in one send, and how many sends may run at once."""
        sink = await desk.make()
        assert sink.name
        assert sink.max_batch >= 1
        assert sink.concurrency >= 1

    async def test_every_event_of_a_full_batch_arrives_byte_for_byte(self, desk: SinkDesk) -> None:
        """A send of as many events as the sink takes delivers each of them once, unchanged, with an outcome for each."""
        sink = await desk.open()
        events = [an_event(f"t-{n}") for n in range(sink.max_batch)]
        await all_delivered(sink, events)
        assert sorted(await desk.taken(len(events))) == sorted(e.body for e in events)
        await sink.close()

    async def test_events_of_every_type_arrive(self, desk: SinkDesk) -> None:
        """An end without a status, a strange status and a last word are delivered like any other event."""
        sink = await desk.open()
        events = [
            an_event("ended", after=None, terminal=True),
            an_event("odd", after="Läuft \x01 noch"),
            an_event("done", after="SUCCEEDED", terminal=True),
        ]
        for event in events:
            await all_delivered(sink, [event])
        assert sorted(await desk.taken(len(events))) == sorted(e.body for e in events)
        await sink.close()

    async def test_events_of_one_task_arrive_in_the_order_of_their_sends(self, desk: SinkDesk) -> None:
        """What is sent after a delivered event of the same task comes behind it."""
        sink = await desk.open()
        events = [an_event(sequence=n) for n in range(1, 6)]
        for event in events:
            await all_delivered(sink, [event])
        assert list(await desk.taken(len(events))) == [e.body for e in events]
        await sink.close()

    async def test_a_repeat_is_delivered_again_unchanged(self, desk: SinkDesk) -> None:
        """An event sent twice, as after a crash, is delivered twice with the same bytes, or once where the other side knows its id."""
        sink = await desk.open()
        event, marker = an_event(sequence=1), an_event(sequence=2)
        await all_delivered(sink, [event])
        await all_delivered(sink, [event])
        await all_delivered(sink, [marker])
        copies = 1 if desk.dedupes else 2
        assert list(await desk.taken(copies + 1)) == [event.body] * copies + [marker.body]
        await sink.close()

    async def test_sends_run_at_once(self, desk: SinkDesk) -> None:
        """As many sends as `concurrency` allows may run together, and none harms another."""
        sink = await desk.open()
        batches = [[an_event(f"t-{c}-{n}") for n in range(min(sink.max_batch, 3))] for c in range(sink.concurrency)]
        with anyio.fail_after(PATIENCE):
            async with anyio.create_task_group() as sends:
                for batch in batches:
                    sends.start_soon(all_delivered, sink, batch)
        everything = [e.body for batch in batches for e in batch]
        assert sorted(await desk.taken(len(everything))) == sorted(everything)
        await sink.close()

    async def test_no_events_is_no_work(self, desk: SinkDesk) -> None:
        """A send of nothing has no outcomes."""
        sink = await desk.open()
        assert list(await sink.send([])) == []
        await sink.close()

    async def test_too_large_is_refused_and_its_mates_pass(self, desk: SinkDesk) -> None:
        """An event that can never be taken for its size is refused as `size`, in its place among the outcomes; its mates are delivered."""
        if desk.largest is None:
            pytest.skip("this sink has no limit of its own")
        sink = await desk.open()
        giant = an_event("t-giant", padding=desk.largest)
        mates = [an_event("t-1"), an_event("t-2")]
        places = {mates[0].id: Delivered(), giant.id: Rejected("size"), mates[1].id: Delivered()}
        for batch in ([mates[0], giant, mates[1]],) if sink.max_batch >= 3 else ([mates[0]], [giant], [mates[1]]):
            assert list(await sink.send(batch)) == [places[e.id] for e in batch]
        assert sorted(await desk.taken(2)) == sorted(e.body for e in mates)
        await sink.close()

    async def test_a_batch_of_large_events_arrives(self, desk: SinkDesk) -> None:
        """Events that are small enough each, but not together, are delivered, at the latest when those not taken come again."""
        if desk.largest is None:
            pytest.skip("this sink has no limit of its own")
        sink = await desk.open()
        events = [an_event(f"t-{n}", padding=desk.largest // 2) for n in range(min(sink.max_batch, 4))]
        missing = list(events)
        with anyio.fail_after(PATIENCE):
            while missing:
                outcomes = await sink.send(missing)
                assert not any(isinstance(outcome, Rejected) for outcome in outcomes)
                rest = [event for event, outcome in zip(missing, outcomes, strict=True) if outcome != Delivered()]
                assert len(rest) < len(missing), "each send takes at least one"
                missing = rest
        assert sorted(await desk.taken(len(events))) == sorted(e.body for e in events)
        await sink.close()

    async def test_cancelling_a_send_leaves_the_sink_usable(self, desk: SinkDesk) -> None:
        """After a send that was cancelled, wherever it was, the event can be sent again."""
        sink = await desk.open()
        event = an_event()
        with anyio.CancelScope() as scope:
            scope.cancel()
            await sink.send([event])
        await all_delivered(sink, [event])
        assert set(await desk.taken(1)) == {event.body}
        await sink.close()

    async def test_check_says_a_few_words(self, desk: SinkDesk) -> None:
        """A check answers in one short line and delivers nothing."""
        sink = await desk.open()
        words = await sink.check()
        assert 0 < len(words) < 200
        assert "\n" not in words
        event = an_event()
        await all_delivered(sink, [event])
        assert list(await desk.taken(1)) == [event.body]
        await sink.close()

    async def test_closes_at_any_time(self, desk: SinkDesk) -> None:
        """Closing is allowed before opening, and twice."""
        sink = await desk.make()
        await sink.close()
        sink = await desk.open()
        await sink.close()
        await sink.close()


class RemoteSinkDesk(SinkDesk):
    """The examiner's side of a sink beyond a network."""

    @abstractmethod
    async def cut(self) -> None:
        """From now on the other side takes nothing and says so, or does not answer."""

    @abstractmethod
    async def mend(self) -> None:
        """The other side takes events again."""


class RemoteSinkExam(SinkExam):
    @pytest.fixture
    def desk(self) -> RemoteSinkDesk:
        raise NotImplementedError("an exam needs a desk")

    async def test_an_outage_is_a_named_error_and_passes(self, desk: RemoteSinkDesk) -> None:
        """While the other side is down, send and check raise a RemoteError; when it is back, the same sink delivers."""
        sink = await desk.open()
        event = an_event()
        await desk.cut()
        with pytest.raises(RemoteError):
            await sink.send([event])
        with pytest.raises(RemoteError):
            await sink.check()
        await desk.mend()
        await all_delivered(sink, [event])
        assert list(await desk.taken(1)) == [event.body]
        await sink.close()

    async def test_an_outage_says_nothing_of_the_event(self, desk: RemoteSinkDesk) -> None:
        """The text of the error, which reaches logs, holds nothing of the body."""
        sink = await desk.open()
        await desk.cut()
        with pytest.raises(RemoteError) as caught:
            await sink.send([an_event("t-canary")])
        assert "canary" not in str(caught.value)
        await sink.close()


async def all_delivered(sink: Sink, events: Sequence[Event]) -> None:
    """One send, every outcome `Delivered`."""
    with anyio.fail_after(PATIENCE):
        outcomes = await sink.send(events)
    assert list(outcomes) == [Delivered()] * len(events)
