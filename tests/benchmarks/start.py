"""How long the event loop is blocked while the SDK is imported, a client is created, and credentials are renewed.

`python -m tests.benchmarks.start NAME` measures one of them in this process, which must be a fresh one, and prints milliseconds.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable

import anyio

from tests.benchmarks.service import service
from tests.benchmarks.stall import measure_stalls
from tests.benchmarks.table import Table, command

Part = Callable[[], Awaitable[None]]
PARAMS = {"VoiceConnectorId": "vc1", "SpeakerSearchTaskId": "task"}


def run(quick: bool) -> Table:
    """Measure each part in new processes, in turn."""
    rounds = 2 if quick else 9
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in PARTS}
    with service():
        for _ in range(rounds):
            for name in PARTS:
                stall, took = _fresh(name)
                found[name].append((stall, took))
    rows = [_row(name, found[name]) for name in PARTS]
    return Table("How long a start stops the event loop", command("start"), _note(rounds), HEADER, rows)


def _fresh(name: str) -> tuple[float, float]:
    words = subprocess.run(
        [sys.executable, "-m", "tests.benchmarks.start", name], capture_output=True, text=True, check=True
    ).stdout.split()
    return float(words[0]), float(words[1])


async def _part(name: str) -> tuple[float, float]:
    """The longest stall and the total time of a part, in milliseconds."""
    async with measure_stalls() as stall:
        began = time.perf_counter()
        await PARTS[name]()
        took = time.perf_counter() - began
    return stall.worst * 1e3, took * 1e3


async def _as_usual() -> None:
    """Use the SDK as its documentation shows."""
    import aioboto3

    async with aioboto3.Session().client("chime-sdk-voice") as client:
        await client.get_speaker_search_task(**PARAMS)


async def _first_poll() -> None:
    from watcher.adapters.aws.session import AwsClients

    aws = AwsClients()
    await aws.call("chime-sdk-voice", "get_speaker_search_task", PARAMS)
    await aws.close()


async def _five_services() -> None:
    from watcher.adapters.aws.session import AwsClients

    aws = AwsClients()
    for name in ("chime-sdk-voice", "sqs", "sns", "events", "sts"):
        await aws.client(name)
    await aws.close()


async def _refreshed() -> None:
    from watcher.adapters.aws.session import AwsClients

    aws = AwsClients()
    await aws.call("chime-sdk-voice", "get_speaker_search_task", PARAMS)
    await aws.refresh()
    await aws.call("chime-sdk-voice", "get_speaker_search_task", PARAMS)
    await aws.close()


PARTS: dict[str, Part] = {
    "aioboto3: import, session, client, first poll": _as_usual,
    "the watcher's clients: the same": _first_poll,
    "the watcher's clients: five services": _five_services,
    "the watcher's clients: two polls, with new credentials in between": _refreshed,
}
HEADER = ("in a running event loop", "longest stall, ms (median)", "worst of all rounds, ms", "total, ms")


def _row(name: str, found: list[tuple[float, float]]) -> tuple[str, ...]:
    stalls, took = [stall for stall, _ in found], [whole for _, whole in found]
    return name, f"{statistics.median(stalls):.0f}", f"{max(stalls):.0f}", f"{statistics.median(took):.0f}"


def _note(rounds: int) -> str:
    return f"""
How long the event loop did not run, measured by a timer of 1 ms, in {rounds} new processes each. The watcher imports the SDK and reads
its data files in a thread, then creates the client; a new session does the same. Aim: no stall above 50 ms.
"""


if __name__ == "__main__":
    os.environ.setdefault("AWS_EC2_METADATA_DISABLED", "true")
    print(*anyio.run(_part, sys.argv[1]))
