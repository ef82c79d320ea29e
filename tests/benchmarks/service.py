"""The simulated voice service in a separate process, so that a benchmark measures only the client."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def service() -> Iterator[None]:
    """A service on loopback that answers at once and verifies every signature. Its tasks never end. Sets the variables of AWS to it."""
    command = [sys.executable, "-m", "watcher", "simulate", "--port", "0", "--latency", "0", "--durations", "queue=0,run=never"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith("export "):
                name, _, value = line.removeprefix("export ").strip().partition("=")
                os.environ[name] = value
            elif "Ctrl-C" in line:
                break
        else:
            raise RuntimeError("the simulated service did not start")
        yield
    finally:
        process.terminate()
        process.wait()
