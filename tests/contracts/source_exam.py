"""The exam that every source takes: the sentences of the `Source` port, each as a test.

A source's test module makes a subclass of `SourceExam` with the fixture `peer`: the sending side of that source, which
creates the source, adds messages and lets holds expire. Its attributes say what the port leaves to the source.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import anyio
import pytest

from watcher.model import Message
from watcher.ports import Source

PATIENCE = 300.0
"""Seconds until a test fails. Only a hang reaches it."""

BODIES = (
    b'{"VoiceConnectorId": "abc123", "SpeakerSearchTaskId": "t-1"}',
    '{"context": "Zoë \N{PILE OF POO} é"}'.encode(),
    b"poison, not JSON",
)


class SourcePeer(ABC):
    """The sending side of one source."""

    finite = False
    """Whether the source ends: after the last message `receive` returns None."""
    redelivers = True
    """Whether a message without an acknowledgement is received again by the next process."""
    remembers = True
    """Whether an acknowledged message is never received again by the next process."""
    may_repeat = False
    """Whether two calls of `receive` that run at the same time can both return a message."""

    @abstractmethod
    async def make(self) -> Source:
        """Return the source, not open. A second call returns what the next process would create from the same settings."""

    @abstractmethod
    async def put(self, *bodies: bytes) -> None:
        """Add messages, as a client does. For a finite source, called before it is opened."""

    @abstractmethod
    async def expire_hold(self, messages: Sequence[Message]) -> None:
        """Expire the hold on these messages now. Does nothing if `hold_s` is None."""

    @abstractmethod
    async def delete(self, messages: Sequence[Message]) -> None:
        """Delete these messages without the source, so that it loses its hold on them. Does nothing if `hold_s` is None."""

    async def open(self) -> Source:
        """Return an open source. The caller closes it."""
        source = await self.make()
        await source.open()
        return source


class SourceExam:
    @pytest.fixture
    def peer(self) -> SourcePeer:
        raise NotImplementedError("define the fixture peer")

    async def test_names_itself_and_its_limits(self, peer: SourcePeer) -> None:
        """A source has a name, a maximum number of concurrent receives, and the time for which it holds a message."""
        source = await peer.make()
        assert source.name
        assert source.receivers >= 1
        assert source.hold_s is None or source.hold_s > 0
        assert not source.watch_notified, "only a setting lets a notification start a watch"

    async def test_every_message_comes_once_byte_for_byte(self, peer: SourcePeer) -> None:
        """Each message is received once and unchanged, with an id of its own."""
        await peer.put(*BODIES)
        source = await peer.open()
        messages = await take(source, len(BODIES))
        assert sorted(m.body for m in messages) == sorted(BODIES)
        assert len({m.id for m in messages}) == len(BODIES)
        assert all(m.id for m in messages)
        await ends_or_waits(peer, source)
        await source.close()

    async def test_all_receivers_at_once_share_the_messages(self, peer: SourcePeer) -> None:
        """As many receives as `receivers` allows can run at the same time, and each message goes to one of them."""
        bodies = [f"message {n}".encode() for n in range(30)]
        await peer.put(*bodies)
        source = await peer.open()
        got: list[Message] = []

        async def receiver() -> None:
            while len({m.id for m in got}) < len(bodies):
                received = await source.receive()
                if received is None:
                    return
                got.extend(received)

        with anyio.fail_after(PATIENCE):
            async with anyio.create_task_group() as receivers:
                for _ in range(source.receivers):
                    receivers.start_soon(receiver)
        assert sorted({m.id: m.body for m in got}.values()) == sorted(bodies)
        assert len(got) == len(bodies) or peer.may_repeat
        await source.close()

    async def test_acked_is_gone_for_good(self, peer: SourcePeer) -> None:
        """An acknowledged message is received neither again nor by the next process."""
        await peer.put(*BODIES)
        source = await peer.open()
        messages = await take(source, len(BODIES))
        assert list(await source.ack(messages)) == []
        await peer.expire_hold(messages)
        await ends_or_waits(peer, source)
        await source.close()
        if peer.remembers:
            next_process = await peer.open()
            await ends_or_waits(peer, next_process)
            await next_process.close()

    async def test_unacked_comes_again_under_the_same_id(self, peer: SourcePeer) -> None:
        """A message without an acknowledgement is received by the next process with the same id and body, unlike acknowledged ones."""
        if not peer.redelivers:
            pytest.skip("this source cannot deliver a message twice")
        await peer.put(*BODIES)
        source = await peer.open()
        messages = await take(source, len(BODIES))
        kept, acked = messages[0], messages[1:]
        if peer.remembers:
            await source.ack(acked)
        await source.close()
        await peer.expire_hold(messages)
        next_process = await peer.open()
        again = await take(next_process, 1 if peer.remembers else len(BODIES))
        assert (kept.id, kept.body) in [(m.id, m.body) for m in again]
        assert len(again) == (1 if peer.remembers else len(BODIES))
        await next_process.close()

    async def test_held_too_long_comes_again_here(self, peer: SourcePeer) -> None:
        """After its hold expired, a message is received again by the same source, and the new receipt acknowledges it."""
        source = await peer.open()
        if source.hold_s is None:
            await source.close()
            pytest.skip("this source holds messages until it is closed")
        await peer.put(BODIES[0])
        first = await take(source, 1)
        await peer.expire_hold(first)
        second = await take(source, 1)
        assert (second[0].id, second[0].body) == (first[0].id, first[0].body)
        assert list(await source.ack(second)) == []
        await ends_or_waits(peer, source)
        await source.close()

    async def test_acking_twice_is_harmless(self, peer: SourcePeer) -> None:
        """The ack of a message that is already deleted succeeds or returns it as failed, and the other messages are acknowledged."""
        await peer.put(*BODIES)
        source = await peer.open()
        messages = await take(source, len(BODIES))
        assert list(await source.ack(messages[:1])) == []
        assert set(await source.ack(messages)) <= set(messages[:1])
        await peer.expire_hold(messages)
        await ends_or_waits(peer, source)
        await source.close()

    async def test_acks_and_extends_any_number(self, peer: SourcePeer) -> None:
        """One call extends or acknowledges any number of messages."""
        bodies = [f"message {n}".encode() for n in range(23)]
        await peer.put(*bodies)
        source = await peer.open()
        messages = await take(source, len(bodies))
        assert list(await source.extend(messages)) == []
        assert list(await source.ack(messages)) == []
        await peer.expire_hold(messages)
        await ends_or_waits(peer, source)
        await source.close()

    async def test_no_messages_is_no_work(self, peer: SourcePeer) -> None:
        """An ack or an extend without messages returns nothing."""
        source = await peer.open()
        assert list(await source.ack([])) == []
        assert list(await source.extend([])) == []
        await source.close()

    async def test_an_extended_message_stays_held(self, peer: SourcePeer) -> None:
        """An extended message is not received again, and can still be acknowledged."""
        await peer.put(BODIES[0])
        source = await peer.open()
        messages = await take(source, 1)
        assert list(await source.extend(messages)) == []
        await ends_or_waits(peer, source)
        assert list(await source.ack(messages)) == []
        await source.close()

    async def test_extend_returns_the_messages_that_were_lost(self, peer: SourcePeer) -> None:
        """Extend returns exactly the messages whose hold was lost."""
        source = await peer.open()
        if source.hold_s is None:
            await source.close()
            pytest.skip("this source holds messages until it is closed")
        await peer.put(*BODIES)
        messages = await take(source, len(BODIES))
        await peer.delete(messages[1:2])
        assert list(await source.extend(messages)) == messages[1:2]
        await source.close()

    async def test_cancelling_a_receive_leaves_the_source_usable(self, peer: SourcePeer) -> None:
        """After a cancelled receive, the next one waits as usual, and the one after that receives a new message."""
        if peer.finite:
            pytest.skip("a finite source never waits")
        source = await peer.open()
        with anyio.move_on_after(0.2):
            await source.receive()
        # the service may still answer the cancelled long poll; this receive outlasts it
        await ends_or_waits(peer, source)
        await peer.put(BODIES[0])
        messages = await take(source, 1)
        assert messages[0].body == BODIES[0]
        await source.close()

    async def test_check_says_a_few_words(self, peer: SourcePeer) -> None:
        """A check returns one short line that contains nothing of a message, and removes no message."""
        await peer.put(BODIES[0])
        source = await peer.open()
        words = await source.check()
        assert 0 < len(words) < 200
        assert "\n" not in words
        assert "abc123" not in words
        assert (await take(source, 1))[0].body == BODIES[0]
        await source.close()

    async def test_closes_at_any_time(self, peer: SourcePeer) -> None:
        """A source can be closed before it is opened, and twice."""
        source = await peer.make()
        await source.close()
        source = await peer.open()
        await source.close()
        await source.close()


async def take(source: Source, count: int) -> list[Message]:
    """Receive until `count` messages arrived, and assert that there were no more."""
    got: list[Message] = []
    with anyio.fail_after(PATIENCE):
        while len(got) < count:
            received = await source.receive()
            assert received is not None, f"the source ended after {len(got)} of {count} messages"
            got.extend(received)
    assert len(got) == count
    return got


async def ends_or_waits(peer: SourcePeer, source: Source) -> None:
    """Assert that no message is left: a finite source returns None, any other returns an empty sequence after its wait."""
    with anyio.fail_after(PATIENCE):
        received = await source.receive()
    if peer.finite:
        assert received is None
    else:
        assert received is not None
        assert list(received) == []
