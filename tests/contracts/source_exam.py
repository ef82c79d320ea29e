"""The exam of the `Source` port: every implementation sits it, by a subclass of `SourceExam` with a `desk` fixture.

The exam knows no adapter. What it needs from the other side of a source (to put something in, to let time pass) it
asks of the desk. A source that differs where the port allows it says so in the attributes of its desk.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import anyio
import pytest

from tests.process import HANG_S
from watcher.ports import Message, Source

PATIENCE = HANG_S
"""Seconds until an exam gives up. No test passes by waiting for it."""

BODIES = (
    b'{"VoiceConnectorId": "abc123", "SpeakerSearchTaskId": "t-1"}',
    '{"context": "Zoë \N{PILE OF POO} é"}'.encode(),
    b"poison, not JSON",
)


class SourceDesk(ABC):
    """The examiner's side of one source."""

    finite = False
    """The source ends: after the last message `receive` returns None."""
    redelivers = True
    """What was not acknowledged comes again in the next process."""
    remembers = True
    """What was acknowledged does not come again in the next process."""

    @abstractmethod
    async def make(self) -> Source:
        """The source, not yet open; a further one is what the next process would make of the same settings."""

    @abstractmethod
    async def put(self, *bodies: bytes) -> None:
        """Make these available, as some client would. For a finite source: called before it is opened."""

    @abstractmethod
    async def lapse(self, messages: Sequence[Message]) -> None:
        """Let the hold on these run out now. Nothing to do where `hold_s` is None."""

    @abstractmethod
    async def lose(self, messages: Sequence[Message]) -> None:
        """Take these off behind the source's back, so that they are ours no longer. Nothing to do where `hold_s` is None."""

    async def open(self) -> Source:
        """A source that is open. Whoever opens closes."""
        source = await self.make()
        await source.open()
        return source


class SourceExam:
    @pytest.fixture
    def desk(self) -> SourceDesk:
        raise NotImplementedError("an exam needs a desk")

    async def test_names_itself_and_its_limits(self, desk: SourceDesk) -> None:
        """A source says its name, how many may receive at once, and for how long it holds."""
        source = await desk.make()
        assert source.name
        assert source.receivers >= 1
        assert source.hold_s is None or source.hold_s > 0

    async def test_every_message_comes_once_byte_for_byte(self, desk: SourceDesk) -> None:
        """What is put in comes out unchanged, under ids that tell the messages apart."""
        await desk.put(*BODIES)
        source = await desk.open()
        messages = await take(source, len(BODIES))
        assert sorted(m.body for m in messages) == sorted(BODIES)
        assert len({m.id for m in messages}) == len(BODIES)
        assert all(m.id for m in messages)
        await ends_or_waits(desk, source)
        await source.close()

    async def test_all_receivers_at_once_share_the_messages(self, desk: SourceDesk) -> None:
        """As many receives as `receivers` allows may run together, and no message goes to two of them."""
        bodies = [f"message {n}".encode() for n in range(30)]
        await desk.put(*bodies)
        source = await desk.open()
        got: list[Message] = []

        async def receiver() -> None:
            while len(got) < len(bodies):
                came = await source.receive()
                if came is None:
                    return
                got.extend(came)

        with anyio.fail_after(PATIENCE):
            async with anyio.create_task_group() as receivers:
                for _ in range(source.receivers):
                    receivers.start_soon(receiver)
        assert sorted(m.body for m in got) == sorted(bodies)
        await source.close()

    async def test_acked_is_gone_for_good(self, desk: SourceDesk) -> None:
        """An acknowledged message comes neither here again nor in the next process."""
        await desk.put(*BODIES)
        source = await desk.open()
        messages = await take(source, len(BODIES))
        assert list(await source.ack(messages)) == []
        await desk.lapse(messages)
        await ends_or_waits(desk, source)
        await source.close()
        if desk.remembers:
            heir = await desk.open()
            await ends_or_waits(desk, heir)
            await heir.close()

    async def test_unacked_comes_again_under_the_same_id(self, desk: SourceDesk) -> None:
        """A message that nobody acknowledged comes to the next process, with the same id and body; its mates that were acked do not."""
        if not desk.redelivers:
            pytest.skip("this source cannot give a message twice")
        await desk.put(*BODIES)
        source = await desk.open()
        messages = await take(source, len(BODIES))
        kept, acked = messages[0], messages[1:]
        if desk.remembers:
            await source.ack(acked)
        await source.close()
        await desk.lapse(messages)
        heir = await desk.open()
        again = await take(heir, 1 if desk.remembers else len(BODIES))
        assert (kept.id, kept.body) in [(m.id, m.body) for m in again]
        assert len(again) == (1 if desk.remembers else len(BODIES))
        await heir.close()

    async def test_held_too_long_comes_again_here(self, desk: SourceDesk) -> None:
        """Where a hold can run out, the message comes again to the same source, and the new receipt acknowledges it."""
        source = await desk.open()
        if source.hold_s is None:
            await source.close()
            pytest.skip("this source holds until it ends")
        await desk.put(BODIES[0])
        first = await take(source, 1)
        await desk.lapse(first)
        second = await take(source, 1)
        assert (second[0].id, second[0].body) == (first[0].id, first[0].body)
        assert list(await source.ack(second)) == []
        await ends_or_waits(desk, source)
        await source.close()

    async def test_acking_twice_is_harmless(self, desk: SourceDesk) -> None:
        """The ack of a message that is gone already succeeds, or names it as failed; its mates are acked all the same."""
        await desk.put(*BODIES)
        source = await desk.open()
        messages = await take(source, len(BODIES))
        assert list(await source.ack(messages[:1])) == []
        assert set(await source.ack(messages)) <= set(messages[:1])
        await desk.lapse(messages)
        await ends_or_waits(desk, source)
        await source.close()

    async def test_acks_and_extends_any_number(self, desk: SourceDesk) -> None:
        """However many messages one call is given, all of them are extended, or acked."""
        bodies = [f"message {n}".encode() for n in range(23)]
        await desk.put(*bodies)
        source = await desk.open()
        messages = await take(source, len(bodies))
        assert list(await source.extend(messages)) == []
        assert list(await source.ack(messages)) == []
        await desk.lapse(messages)
        await ends_or_waits(desk, source)
        await source.close()

    async def test_no_messages_is_no_work(self, desk: SourceDesk) -> None:
        """Acknowledging or extending nothing does nothing."""
        source = await desk.open()
        assert list(await source.ack([])) == []
        assert list(await source.extend([])) == []
        await source.close()

    async def test_extended_stays_ours(self, desk: SourceDesk) -> None:
        """An extended message goes to nobody else meanwhile, and can still be acknowledged."""
        await desk.put(BODIES[0])
        source = await desk.open()
        messages = await take(source, 1)
        assert list(await source.extend(messages)) == []
        await ends_or_waits(desk, source)
        assert list(await source.ack(messages)) == []
        await source.close()

    async def test_extend_tells_what_is_ours_no_longer(self, desk: SourceDesk) -> None:
        """Extending names exactly the messages that were lost meanwhile."""
        source = await desk.open()
        if source.hold_s is None:
            await source.close()
            pytest.skip("this source holds until it ends")
        await desk.put(*BODIES)
        messages = await take(source, len(BODIES))
        await desk.lose(messages[1:2])
        assert list(await source.extend(messages)) == messages[1:2]
        await source.close()

    async def test_cancelling_a_receive_leaves_the_source_usable(self, desk: SourceDesk) -> None:
        """A receive that was cancelled while it waited is followed by one that waits its while, and by one that works."""
        if desk.finite:
            pytest.skip("a finite source never waits")
        source = await desk.open()
        with anyio.move_on_after(0.2):
            await source.receive()
        # the other side may go on answering the call that was cancelled, until its while is over
        await ends_or_waits(desk, source)
        await desk.put(BODIES[0])
        messages = await take(source, 1)
        assert messages[0].body == BODIES[0]
        await source.close()

    async def test_check_says_a_few_words(self, desk: SourceDesk) -> None:
        """A check answers in one short line, takes no message away and shows none."""
        await desk.put(BODIES[0])
        source = await desk.open()
        words = await source.check()
        assert 0 < len(words) < 200
        assert "\n" not in words
        assert "abc123" not in words
        assert (await take(source, 1))[0].body == BODIES[0]
        await source.close()

    async def test_closes_at_any_time(self, desk: SourceDesk) -> None:
        """Closing is allowed before opening, and twice."""
        source = await desk.make()
        await source.close()
        source = await desk.open()
        await source.close()
        await source.close()


async def take(source: Source, count: int) -> list[Message]:
    """Receives until `count` messages came; not one more may come with them."""
    got: list[Message] = []
    with anyio.fail_after(PATIENCE):
        while len(got) < count:
            came = await source.receive()
            assert came is not None, f"the source ended after {len(got)} of {count} messages"
            got.extend(came)
    assert len(got) == count
    return got


async def ends_or_waits(desk: SourceDesk, source: Source) -> None:
    """Nothing is left: a finite source says so for good, another one returns an empty sequence after a while."""
    with anyio.fail_after(PATIENCE):
        came = await source.receive()
    if desk.finite:
        assert came is None
    else:
        assert came is not None
        assert list(came) == []
