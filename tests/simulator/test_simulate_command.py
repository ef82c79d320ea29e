from __future__ import annotations

import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import aioboto3
import pytest
from click.testing import CliRunner

from tests.process import HANG_S, PYTHON, completed, process
from watcher.cli import app

OWN_KIND = """
kinds:
  - name: pipeline-run
    service: codepipeline
    operation: get_pipeline_execution
    params: {pipelineName: {}, pipelineExecutionId: {}}
    task: pipelineExecution
    status: status
    statuses: {InProgress: open, Succeeded: succeeded, Failed: failed}
"""
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


@pytest.mark.process
async def test_the_kinds_of_a_configuration_are_served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With --config, the kinds of the configuration are served beside those of the catalog, by the printed variables alone."""
    config = tmp_path / "w.yaml"
    config.write_text(OWN_KIND)
    with running("--port", "0", "--latency", "0", "--config", str(config)) as (command, exports):
        for name, value in exports.items():
            monkeypatch.setenv(name, value)
        async with aioboto3.Session().client("codepipeline") as pipelines, aioboto3.Session().client("transcribe") as transcribe:
            reply = await pipelines.get_pipeline_execution(pipelineName="p", pipelineExecutionId="failed-1")
            job = await transcribe.get_transcription_job(TranscriptionJobName="t")
        assert reply["pipelineExecution"]["pipelineExecutionId"] == "failed-1"
        assert job["TranscriptionJob"]["TranscriptionJobName"] == "t"
        command.terminate()
        _, err = command.communicate(timeout=HANG_S)
        assert "requests: 2, tasks: 2, outcomes: ok 2" in err


@pytest.mark.parametrize(
    ("old", "new", "mistake"),
    [
        ("codepipeline", "codepipelines", "botocore has no service codepipelines"),
        ("get_pipeline_execution", "get_execution", "the API model of codepipeline has no operation get_execution"),
        ("task: pipelineExecution", "task: execution", "the reply of GetPipelineExecution has no such place: execution"),
        ("status: status", "status: state", "found no members with which state is InProgress"),
    ],
)
def test_a_kind_that_does_not_fit_its_api_is_an_error(tmp_path: Path, old: str, new: str, mistake: str) -> None:
    """The command does not start with a kind that it cannot serve, and the error says what is wrong with it."""
    config = tmp_path / "w.yaml"
    config.write_text(OWN_KIND.replace(old, new))
    result = CliRunner().invoke(app, ["simulate", "--config", str(config)])
    assert result.exit_code == 2
    assert mistake in " ".join(result.stderr.split())


@pytest.mark.process
def test_the_voice_service_needs_no_sdk() -> None:
    """What serves the voice service imports neither botocore nor the catalog, also where other kinds could be served: it starts fast."""
    script = (
        "import sys\n"
        "from watcher.simulator import Scenario, VoiceService\n"
        "from watcher.simulator.declared import DeclaredApi, DeclaredService\n"
        "DeclaredApi(DeclaredService(lambda: exit('the kinds are loaded'), VoiceService(Scenario(), float)))\n"
        "print(*[name for name in ('botocore', 'aioboto3', 'ruamel', 'jmespath', 'watcher.config') if name in sys.modules])"
    )
    done = completed([PYTHON, "-c", script], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("\n", "")


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
