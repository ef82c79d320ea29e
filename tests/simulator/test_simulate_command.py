from __future__ import annotations

import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

import aioboto3
import pytest
from click.testing import CliRunner

from tests.process import HANG_S, PYTHON, process
from watcher.cli import app

COMMAND = (PYTHON, "-c", "from watcher.cli.simulate import simulate; simulate()")


@contextmanager
def running(*options: str) -> Iterator[tuple[subprocess.Popen[str], dict[str, str]]]:
    with process([*COMMAND, *options], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as command:
        assert command.stdout is not None
        exports = {}
        for line in command.stdout:
            if line.startswith("export "):
                name, value = line.removeprefix("export ").strip().split("=", 1)
                exports[name] = value
            if "Ctrl-C" in line:
                break
        yield command, exports


@pytest.mark.process
@pytest.mark.parametrize("stop", [signal.SIGTERM, signal.SIGINT])
async def test_the_printed_variables_are_sufficient_for_an_sdk(stop: signal.Signals, monkeypatch: pytest.MonkeyPatch) -> None:
    """A client configured with the printed variables only gets its task; a signal ends the command with exit code 0 and a summary."""
    with running("--port", "0", "--latency", "0", "--seed", "7") as (command, exports):
        for name in [name for name in os.environ if name.startswith("AWS_")]:
            monkeypatch.delenv(name)
        for name, value in exports.items():
            monkeypatch.setenv(name, value)
        async with aioboto3.Session().client("chime-sdk-voice") as sdk:
            reply = await sdk.get_speaker_search_task(VoiceConnectorId="vc", SpeakerSearchTaskId="t")
        assert reply["SpeakerSearchTask"]["SpeakerSearchTaskId"] == "t"
        command.send_signal(stop)
        _, err = command.communicate(timeout=HANG_S)
        assert command.returncode == 0
        assert "requests: 1, tasks: 1, outcomes: ok 1" in err


def test_a_port_in_use_is_an_error() -> None:
    """The command ends with exit code 69, and its error names the port and what to do."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        result = CliRunner().invoke(app, ["simulate", "--port", str(port)])
    assert result.exit_code == 69
    assert f"Cannot listen on 127.0.0.1:{port}" in result.stderr
    assert "--port 0" in result.stderr


@pytest.mark.process
def test_a_reader_that_is_gone_is_not_a_port_in_use() -> None:
    """When the reader of stdout is gone before the variables are printed, the exit code is 74 and nothing is said about the port."""
    reader, writer = os.pipe()
    os.close(reader)
    with process([PYTHON, "-m", "watcher", "simulate", "--port", "0"], stdout=writer, stderr=subprocess.PIPE, text=True) as command:
        os.close(writer)
        _, err = command.communicate(timeout=HANG_S)
    assert (command.returncode, err) == (74, "")


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--fault", "5003=0.1"], "--fault"),
        (["--durations", "gamma(2)"], "--durations"),
        (["--latency", "soon"], "--latency"),
        (["--failed", "0.7", "--stopped", "0.7"], "together at most 1"),
        (["--quota", "-1"], "--quota"),
    ],
)
def test_an_invalid_option_is_a_usage_error(options: list[str], expected: str) -> None:
    """An invalid option is a usage error of click, which the command line maps to 64, and the error names it."""
    result = CliRunner().invoke(app, ["simulate", *options])
    assert result.exit_code == 2
    assert expected in result.stderr
