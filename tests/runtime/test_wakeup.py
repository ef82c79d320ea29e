"""Waiting between loops."""

from __future__ import annotations

import anyio
import pytest

from watcher.runtime.wakeup import IntakeGate, Wakeup

pytestmark = pytest.mark.looptime(noop_cycles=0)


async def test_a_second_reason_to_pause_does_not_lose_a_waiting_loop() -> None:
    """A loop that waits since the first reason is woken when the last reason is withdrawn, in whichever order they go."""
    gate = IntakeGate()
    gate.pause("max_watches", "hint")
    with anyio.fail_after(10):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(gate.wait)
            await anyio.sleep(1)
            gate.pause("max_outbox", "hint")
            gate.resume("max_watches")
            await anyio.sleep(1)
            assert gate.paused_by == {"max_outbox"}
            gate.resume("max_outbox")


async def test_a_reason_that_is_withdrawn_twice_stays_withdrawn() -> None:
    """Resuming without a pause changes nothing."""
    gate = IntakeGate()
    gate.resume("max_watches")
    with anyio.fail_after(1):
        await gate.wait()


async def test_a_wakeup_before_the_wait_is_not_lost() -> None:
    """`set` before `wait` ends the wait at once; a second wait waits."""
    wakeup = Wakeup()
    wakeup.set()
    began = anyio.current_time()
    await wakeup.wait(60)
    assert anyio.current_time() == began
    await wakeup.wait(60)
    assert anyio.current_time() == began + 60
