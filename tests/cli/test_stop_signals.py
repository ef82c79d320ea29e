"""Signals end every command: none is lost in a race of cancellations, and no call that hangs keeps the process after the second one."""

from __future__ import annotations

import re
import signal
import subprocess
from pathlib import Path

import pytest

import watcher.cli
from tests.process import PYTHON, completed, process

pytestmark = pytest.mark.process

PRELUDE = """
import os, signal, sys, threading, time
from functools import partial
import anyio
from anyio import to_thread
from watcher.cli import event_loop, stop_signals
from click.exceptions import Exit

def hang():
    print("hangs", flush=True)
    os.read(os.pipe()[0], 1)  # as a call of the kernel that never returns

def command(work):
    try:
        print("returned", event_loop.run(work))
    except Exit as end:
        sys.exit(end.exit_code)
"""

ENDS_AT_THE_SAME_MOMENT = """
async def work():
    signal.raise_signal(signal.{number})
    return "done"
command(work)
"""
ABSORBED_BY_A_SCOPE = """
async def work():
    with anyio.CancelScope() as scope:
        signal.raise_signal(signal.{number})
        scope.cancel()
        await anyio.sleep(0)
    return "done"
command(work)
"""
IN_THE_WAY_OF_A_DEADLINE = """
async def work():
    with anyio.move_on_after(0.01):
        time.sleep(0.05)
        signal.raise_signal(signal.{number})
        await anyio.sleep(1)
    return "done"
command(work)
"""
WHILE_IT_WAITS = """
async def work():
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(anyio.sleep_forever)
        signal.raise_signal(signal.{number})
command(work)
"""
BEFORE_THE_LOOP = """
run = anyio.run
def late(*args, **options):
    signal.raise_signal(signal.{number})
    return run(*args, **options)
anyio.run = late
async def work():
    await anyio.sleep_forever()
command(work)
"""
RECEIVED_BY_ANOTHER_THREAD = """
async def work():
    threading.Timer(0.05, lambda: signal.pthread_kill(threading.get_ident(), signal.{number})).start()
    await anyio.sleep_forever()
command(work)
"""


SCRIPTS = [
    ENDS_AT_THE_SAME_MOMENT,
    ABSORBED_BY_A_SCOPE,
    IN_THE_WAY_OF_A_DEADLINE,
    WHILE_IT_WAITS,
    BEFORE_THE_LOOP,
    RECEIVED_BY_ANOTHER_THREAD,
]


@pytest.mark.parametrize(("number", "code"), [("SIGINT", 130), ("SIGTERM", 143)])
@pytest.mark.parametrize("script", SCRIPTS)
def test_no_signal_is_lost(script: str, number: str, code: int) -> None:
    """Whatever the command does at the moment of the signal, it ends with the code of the signal, and prints no result."""
    done = completed([PYTHON, "-c", PRELUDE + script.format(number=number)], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (code, ""), done.stderr


IN_A_THREAD = """
async def work():
    await to_thread.run_sync(hang)
command(work)
"""
IN_A_SHIELDED_SCOPE = """
async def work():
    with anyio.CancelScope(shield=True):
        print("hangs", flush=True)
        await anyio.sleep_forever()
command(work)
"""
IN_THE_EVENT_LOOP = """
async def work():
    hang()
command(work)
"""


@pytest.mark.parametrize("script", [IN_A_THREAD, IN_A_SHIELDED_SCOPE, IN_THE_EVENT_LOOP])
def test_a_second_signal_ends_a_command_that_hangs(script: str) -> None:
    """A call that never returns, in a thread, behind a shield, or in the event loop itself, keeps no process after its second signal."""
    patient = PRELUDE + "event_loop.CANCEL_S = 3600.0\n" + script
    with process([PYTHON, "-c", patient], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as command:
        assert command.stdout is not None
        assert command.stdout.readline() == "hangs\n"
        command.send_signal(signal.SIGTERM)
        command.send_signal(signal.SIGINT)
        _, errors = command.communicate()
    assert (command.returncode, errors.count("Traceback")) in ((143, 0), (130, 0)), errors


def test_a_first_signal_ends_a_command_that_hangs_after_a_while() -> None:
    """One signal is enough, if the command does not end within its time; the last line says why it was ended."""
    hurried = PRELUDE + "event_loop.CANCEL_S = 0.1\n" + IN_A_THREAD
    with process([PYTHON, "-c", hurried], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as command:
        assert command.stdout is not None
        assert command.stdout.readline() == "hangs\n"
        command.send_signal(signal.SIGTERM)
        _, errors = command.communicate()
    assert command.returncode == 143
    assert errors.startswith("Ended by force: a call does not return")


def test_every_command_runs_its_event_loop_under_the_signals() -> None:
    """No module of the command line starts an event loop, or receives these signals, on its own."""
    here = Path(watcher.cli.__file__).parent
    found = {
        file.name: re.findall(r"anyio\.run\(|asyncio\.run\(|signal\.SIGINT|signal\.SIGTERM", file.read_text()) for file in here.glob("*.py")
    }
    assert {name for name, uses in found.items() if uses} == {"event_loop.py", "stop_signals.py"}
