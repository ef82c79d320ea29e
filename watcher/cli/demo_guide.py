"""The guide that `watcher demo --serve` prints. Commands are printed unchanged, without line breaks, so that they can be pasted."""

from __future__ import annotations

import os
import shlex
import shutil
import sys

from watcher.cli.demo_state import RETENTION_S, DemoState
from watcher.cli.live import Screen
from watcher.cli.tables import counted

_STREAM = "curl -N -H 'Accept: text/event-stream'"


def print_guide(screen: Screen, state: DemoState, url: str, known: int) -> None:
    """Print the guide. `url` is that of the HTTP API; `known` is the number of simulated tasks of earlier runs."""
    watcher, directory, config = program(sys.argv[0]), shlex.quote(str(state.directory)), shlex.quote(str(state.config))
    screen.print("The watcher polls a simulated Amazon Chime SDK Voice, where new speaker\nsearches start until you press Ctrl-C.")
    if known:
        screen.print(f"It continues from its kept state: {counted(known, 'search was', 'searches were')} started before.")
    for text, *commands in (
        ("Open the page: tasks, transitions, lag, and calls.", f"{url}/"),
        ("Follow the events, from another terminal:", f"{_STREAM} {url}/v1/events", f"{watcher} events --follow --url {url}"),
        (
            "Resume, also after a restart: curl prints an id before each event. Replace ID\n"
            "with the last one. watcher events stores its cursor in a file.",
            f"{_STREAM} -H 'Last-Event-ID: ID' \\",
            f"  {url}/v1/events",
            f"{watcher} events --follow --cursor-file cursor --url {url}",
        ),
        (
            "Submit a task. The beginning of its id decides how it ends: succeeded-,\nfailed-, stopped-, partial-, slow-, stuck-.",
            f"curl {url}/v1/tasks --json '[\"abc123/failed-1\"]'",
        ),
        ("Kill the demo, and start it again with the same command. No event is lost.", f"kill -9 {os.getpid()}"),
        (
            f"The state stays on this machine: each task for {RETENTION_S // 3600} h after its end. List\nthe tasks, or reset the demo:",
            f"{watcher} tasks --config {config}",
            f"rm -r {directory}",
        ),
    ):
        screen.print(f"\n{text}")
        for command in commands:
            screen.print(f"  {command}", soft_wrap=True, markup=False)
    screen.print()


def program(started_as: str) -> str:
    """The command that runs this watcher in a shell: its whole path where PATH does not find it, as in a virtual environment."""
    found = shutil.which("watcher")
    is_found = found is not None and os.path.realpath(found) == os.path.realpath(started_as)
    return "watcher" if is_found or os.path.basename(started_as) != "watcher" else shlex.quote(os.path.abspath(started_as))
