"""The exam that every sink takes: the sentences of the `Sink` port, each as a test.

A sink's test module makes a subclass of `SinkExam` with the fixture `peer`: the receiving side of that sink, which
creates the sink and returns what arrived. A sink that delivers over a network takes `RemoteSinkExam`, which adds
outages.
"""

from __future__ import annotations

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Sequence

import anyio
import pytest

from watcher.errors import RemoteError
from watcher.model import Event, EventType
from watcher.ports import Delivered, Rejected, Sink

PATIENCE = 300.0
"""Seconds until a test fails. Only a hang reaches it."""


def an_event(task: str = "t-1", sequence: int = 1, after: str | None = "IN_PROGRESS", *, terminal: bool = False, padding: int = 0) -> Event:
    """Return an event as the watcher writes it. `padding` is a number of bytes added to its body."""
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


class SinkPeer(ABC):
    """The receiving side of one sink."""

    largest: int | None = None
    """The size in bytes above which the sink rejects an event. None: no limit."""
    dedupes = False
    """Whether the receiving side drops an event whose id it has seen."""

    @abstractmethod
    async def make(self) -> Sink:
        """Return the sink, not open."""

    @abstractmethod
    async def taken(self, count: int) -> Sequence[bytes]:
        """Return all bodies received so far, in the order of arrival. Waits until there are at least `count`."""

    async def open(self) -> Sink:
        """Return an open sink. The caller closes it."""
        sink = await self.make()
        await sink.open()
        return sink


class SinkExam:
    @pytest.fixture
    def peer(self) -> SinkPeer:
        raise NotImplementedError("define the fixture peer")

    async def test_names_itself_and_its_limits(self, peer: SinkPeer) -> None:
        """A sink has a name, a maximum batch size, and a maximum number of concurrent sends."""
        sink = await peer.make()
        assert sink.name
        assert sink.max_batch >= 1
        assert sink.concurrency >= 1

    async def test_every_event_of_a_full_batch_arrives_byte_for_byte(self, peer: SinkPeer) -> None:
        """A send with the maximum number of events delivers each event once and unchanged, and returns an outcome for each."""
        sink = await peer.open()
        events = [an_event(f"t-{n}") for n in range(sink.max_batch)]
        await all_delivered(sink, events)
        assert sorted(await peer.taken(len(events))) == sorted(e.body for e in events)
        await sink.close()

    async def test_events_of_every_type_arrive(self, peer: SinkPeer) -> None:
        """A watch that ended without a status, an unknown status and a terminal status are delivered like any other event."""
        sink = await peer.open()
        events = [
            an_event("ended", after=None, terminal=True),
            an_event("odd", after="Läuft \x01 noch"),
            an_event("done", after="SUCCEEDED", terminal=True),
        ]
        for event in events:
            await all_delivered(sink, [event])
        assert sorted(await peer.taken(len(events))) == sorted(e.body for e in events)
        await sink.close()

    async def test_events_of_one_task_arrive_in_the_order_of_their_sends(self, peer: SinkPeer) -> None:
        """An event that is sent after another of the same task was delivered arrives after it."""
        sink = await peer.open()
        events = [an_event(sequence=n) for n in range(1, 6)]
        for event in events:
            await all_delivered(sink, [event])
        assert list(await peer.taken(len(events))) == [e.body for e in events]
        await sink.close()

    async def test_a_repeat_is_delivered_again_unchanged(self, peer: SinkPeer) -> None:
        """An event sent twice, as after a crash, arrives twice with the same bytes, or once if the receiving side drops repeats."""
        sink = await peer.open()
        event, marker = an_event(sequence=1), an_event(sequence=2)
        await all_delivered(sink, [event])
        await all_delivered(sink, [event])
        await all_delivered(sink, [marker])
        copies = 1 if peer.dedupes else 2
        assert list(await peer.taken(copies + 1)) == [event.body] * copies + [marker.body]
        await sink.close()

    async def test_sends_run_at_once(self, peer: SinkPeer) -> None:
        """As many sends as `concurrency` allows can run at the same time, and all events arrive."""
        sink = await peer.open()
        batches = [[an_event(f"t-{c}-{n}") for n in range(min(sink.max_batch, 3))] for c in range(sink.concurrency)]
        with anyio.fail_after(PATIENCE):
            async with anyio.create_task_group() as sends:
                for batch in batches:
                    sends.start_soon(all_delivered, sink, batch)
        everything = [e.body for batch in batches for e in batch]
        assert sorted(await peer.taken(len(everything))) == sorted(everything)
        await sink.close()

    async def test_no_events_is_no_work(self, peer: SinkPeer) -> None:
        """A send without events returns no outcomes."""
        sink = await peer.open()
        assert list(await sink.send([])) == []
        await sink.close()

    async def test_too_large_is_rejected_and_the_rest_is_delivered(self, peer: SinkPeer) -> None:
        """An event above the size limit is rejected with the reason `size`, at its index, and the other events are delivered."""
        if peer.largest is None:
            pytest.skip("this sink has no size limit")
        sink = await peer.open()
        giant = an_event("t-giant", padding=peer.largest)
        others = [an_event("t-1"), an_event("t-2")]
        places = {others[0].id: Delivered(), giant.id: Rejected("size"), others[1].id: Delivered()}
        for batch in ([others[0], giant, others[1]],) if sink.max_batch >= 3 else ([others[0]], [giant], [others[1]]):
            assert list(await sink.send(batch)) == [places[e.id] for e in batch]
        assert sorted(await peer.taken(2)) == sorted(e.body for e in others)
        await sink.close()

    async def test_a_batch_of_large_events_arrives(self, peer: SinkPeer) -> None:
        """Events that together exceed the size limit are all delivered, at the latest when those not delivered are sent again."""
        if peer.largest is None:
            pytest.skip("this sink has no size limit")
        sink = await peer.open()
        events = [an_event(f"t-{n}", padding=peer.largest // 2) for n in range(min(sink.max_batch, 4))]
        missing = list(events)
        with anyio.fail_after(PATIENCE):
            while missing:
                outcomes = await sink.send(missing)
                assert not any(isinstance(outcome, Rejected) for outcome in outcomes)
                rest = [event for event, outcome in zip(missing, outcomes, strict=True) if outcome != Delivered()]
                assert len(rest) < len(missing), "each send delivers at least one event"
                missing = rest
        assert sorted(await peer.taken(len(events))) == sorted(e.body for e in events)
        await sink.close()

    async def test_cancelling_a_send_leaves_the_sink_usable(self, peer: SinkPeer) -> None:
        """After a cancelled send the same event can be sent again."""
        sink = await peer.open()
        event = an_event()
        with anyio.CancelScope() as scope:
            scope.cancel()
            await sink.send([event])
        await all_delivered(sink, [event])
        assert set(await peer.taken(1)) == {event.body}
        await sink.close()

    async def test_check_says_a_few_words(self, peer: SinkPeer) -> None:
        """A check returns one short line and delivers nothing."""
        sink = await peer.open()
        words = await sink.check()
        assert 0 < len(words) < 200
        assert "\n" not in words
        event = an_event()
        await all_delivered(sink, [event])
        assert list(await peer.taken(1)) == [event.body]
        await sink.close()

    async def test_closes_at_any_time(self, peer: SinkPeer) -> None:
        """A sink can be closed before it is opened, and twice."""
        sink = await peer.make()
        await sink.close()
        sink = await peer.open()
        await sink.close()
        await sink.close()


class RemoteSinkPeer(SinkPeer):
    """The receiving side of a sink that delivers over a network."""

    @abstractmethod
    async def disconnect(self) -> None:
        """Start an outage: the receiving side rejects every call or does not answer."""

    @abstractmethod
    async def restore(self) -> None:
        """End the outage."""


class RemoteSinkExam(SinkExam):
    @pytest.fixture
    def peer(self) -> RemoteSinkPeer:
        raise NotImplementedError("define the fixture peer")

    async def test_an_outage_is_a_named_error_and_passes(self, peer: RemoteSinkPeer) -> None:
        """During an outage send and check raise a RemoteError, and after it the same sink delivers."""
        sink = await peer.open()
        event = an_event()
        await peer.disconnect()
        with pytest.raises(RemoteError):
            await sink.send([event])
        with pytest.raises(RemoteError):
            await sink.check()
        await peer.restore()
        await all_delivered(sink, [event])
        assert list(await peer.taken(1)) == [event.body]
        await sink.close()

    async def test_an_outage_says_nothing_of_the_event(self, peer: RemoteSinkPeer) -> None:
        """The text of the error, which appears in logs, contains nothing of the event."""
        sink = await peer.open()
        await peer.disconnect()
        with pytest.raises(RemoteError) as caught:
            await sink.send([an_event("t-canary")])
        assert "canary" not in str(caught.value)
        await sink.close()


async def all_delivered(sink: Sink, events: Sequence[Event]) -> None:
    """Send the events once and assert that each was delivered."""
    with anyio.fail_after(PATIENCE):
        outcomes = await sink.send(events)
    assert list(outcomes) == [Delivered()] * len(events)
