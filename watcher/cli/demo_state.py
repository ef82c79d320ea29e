"""The state directory of `watcher demo --serve`, from which the demo continues after a stop or a kill."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

RETENTION_S = 86_400
"""How long the demo keeps a task and its events after the end, in seconds, so that a demo that runs for days does not fill the disk."""
STOP_DEADLINE_S = 3
"""The time from Ctrl-C to the end of the process, in seconds."""
MAX_EVENTS_BYTES = 16 * 1024 * 1024
"""The size at which the file of events is renamed, and a new one is begun."""


def default_directory(environ: Mapping[str, str]) -> Path:
    """Return a directory below that for the state of programs, as the XDG Base Directory Specification defines it.

    Raises RuntimeError if that depends on a home directory, and there is none.
    """
    configured = environ.get("XDG_STATE_HOME", "")
    base = Path(configured) if os.path.isabs(configured) else Path("~/.local/state").expanduser()
    return base / "watcher-demo"


@dataclass(frozen=True, slots=True)
class DemoState:
    """The files of a demo. Everything is below `directory`: removing it resets the demo."""

    directory: Path

    @property
    def config(self) -> Path:
        """The configuration, with which other commands can read the store."""
        return self.directory / "watcher.yaml"

    @property
    def pipe(self) -> Path:
        """The named pipe that the watcher reads tasks from."""
        return self.directory / "tasks"

    @property
    def events(self) -> Path:
        """The file that the watcher delivers events to."""
        return self.directory / "events.jsonl"

    @property
    def simulated_tasks(self) -> Path:
        """What the simulated service knows."""
        return self.directory / "simulator.db"

    def create(self) -> None:
        """Create the directory. Raises OSError, also for a directory with other files: the demo would replace or use them."""
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not self.simulated_tasks.exists() and any(self.directory.iterdir()):
            raise OSError(errno.ENOTEMPTY, "the directory has files that are not of a demo")

    def prepare(self, listen: str) -> str:
        """Create what is missing, and write the configuration. Returns its text. Raises OSError."""
        if not self.pipe.is_fifo():
            os.mkfifo(self.pipe, 0o600)
        text = json.dumps(self._settings(listen), indent=2) + "\n"  # JSON is YAML
        new = self.config.with_suffix(".new")
        new.write_text(text, encoding="utf-8")
        new.replace(self.config)
        return text

    def limit_events(self) -> None:
        """Rename a file of events that has become large. The sink begins a new one."""
        if self.events.exists() and self.events.stat().st_size > MAX_EVENTS_BYTES:
            self.events.replace(self.events.with_suffix(".jsonl.1"))

    def _settings(self, listen: str) -> dict[str, Any]:
        return {
            "sources": [{"type": "lines", "path": str(self.pipe)}],
            "store": {"type": "sqlite", "path": str(self.directory / "watcher.db")},
            "sinks": [{"type": "jsonl", "path": str(self.events)}],
            "watch": {"retention": RETENTION_S},
            "limits": {"stop_deadline": STOP_DEADLINE_S},
            "api": {"listen": listen},
        }
