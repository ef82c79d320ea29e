"""Which dead letter an invalid input becomes."""

from __future__ import annotations

import anyio
import pytest

from tests.runtime.conftest import MakeWorld
from watcher.model import Message
from watcher.query import DeadLetterQuery
from watcher.runtime.intake import dead_letter_id
from watcher.simulator.queue import SimulatedQueue


def test_the_id_depends_on_source_message_and_body() -> None:
    """The same message gives the same id each time; another source, another message id, or another body gives another one."""
    ids = {dead_letter_id(origin, Message(id_, body)) for origin in ("pipe", "queue") for id_ in ("7", "71") for body in (b"", b"x", b"1x")}
    assert len(ids) == 12
    assert dead_letter_id("pipe", Message("7", b"x", "receipt")) == dead_letter_id("pipe", Message("7", b"x", "another receipt"))


@pytest.mark.looptime(noop_cycles=0)
async def test_different_invalid_inputs_with_one_id_are_two_dead_letters(world: MakeWorld) -> None:
    """A source that numbers its messages anew with each start, as a file does, replaces no dead letter of an earlier start."""
    w = world(finite=False)
    async with w.running():
        w.queue.put("not JSON")
        await anyio.sleep(5)
    w.queue = SimulatedQueue(finite=False)
    async with w.running():
        w.queue.put("no JSON either")
        await anyio.sleep(5)
    assert sorted(letter.body for letter in (await w.store.dead_letters(DeadLetterQuery())).items) == [b"no JSON either", b"not JSON"]
