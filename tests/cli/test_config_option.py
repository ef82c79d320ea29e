from __future__ import annotations

import json
import os
import shlex
from pathlib import Path

import pytest

from tests.cli.conftest import CONFIG, Command, recorded
from tests.process import PYTHON, completed
from tests.queries.recorded import RecordedTask, dead_letter
from watcher.cli.init import TEMPLATES

ONE = "5ca1ab1e5ca1ab1e"

READERS = {
    ("tasks",): 0,
    ("explain", "abc/t1"): 0,
    ("events",): 0,
    ("events", "abc/t1"): 0,
    ("dead-letters", "list"): 0,
    ("dead-letters", "show", ONE): 0,
    ("dead-letters", "retry", ONE): 0,
    ("dead-letters", "retry", "--all"): 0,
    ("dead-letters", "purge", ONE[:6]): 0,
    ("forget", "abc/t1"): 0,
    ("forget", "--connector", "abc"): 0,
    ("submit", "abc/new"): 0,
    ("config", "check"): 0,
    ("config", "show"): 0,
    ("doctor",): 78,
    ("run",): 0,
}
"""Every command that reads a configuration, with the exit code that it has in a directory with a store and a source that is empty."""


@pytest.fixture
def store(here: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A store with one task that has ended and one dead letter; no AWS, and no configuration under its default name."""
    for name in [name for name in os.environ if name.startswith(("AWS_", "WATCHER_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", os.devnull)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    recorded(RecordedTask("t1").seen("SUCCEEDED", 5), dead_letters=[dead_letter(ONE)])
    return here


def reading(arguments: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> tuple[str, ...]:
    """The arguments; `run` and `doctor` get a Region, without which they do not start."""
    if arguments[0] in ("run", "doctor"):
        monkeypatch.setenv("AWS_REGION", "eu-central-1")
    return arguments


@pytest.mark.parametrize("arguments", [each for each in READERS if each[0] not in ("run", "doctor")])
@pytest.mark.parametrize("way", ["variable", "watcher.yaml", "argument", "option", "both"])
def test_a_configuration_is_found_in_each_way(
    command: Command, store: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], way: str
) -> None:
    """A command takes the file of WATCHER_CONFIG, watcher.yaml in the working directory, the argument FILE, or --config, or both alike."""
    if way == "variable":
        (store / "watcher.yaml").write_text("not: valid", encoding="utf-8")
        monkeypatch.setenv("WATCHER_CONFIG", "w.yaml")
    elif way == "watcher.yaml":
        (store / "w.yaml").rename(store / "watcher.yaml")
    given = {"argument": ("w.yaml",), "option": ("--config", "w.yaml"), "both": ("--config", "./w.yaml", "w.yaml")}.get(way, ())
    ended = command(*arguments, *given)
    assert (ended.code, ended.err) == (READERS[arguments], ""), ended


@pytest.mark.parametrize("arguments", READERS)
def test_a_file_that_does_not_exist_is_named(command: Command, store: Path, arguments: tuple[str, ...]) -> None:
    """For a configuration that does not exist, each command exits with 78 and prints the command that creates it, ready to paste."""
    ended = command(*arguments, "--config", "my files/no.yaml")
    assert ended.code == 78, ended
    assert "watcher init 'my files/no.yaml'" in ended.err + ended.out


@pytest.mark.parametrize("arguments", READERS)
def test_two_different_configurations_are_a_usage_error(command: Command, store: Path, arguments: tuple[str, ...]) -> None:
    """--config and FILE that name different files exit with 64, and both are named."""
    (store / "other.yaml").write_text(CONFIG, encoding="utf-8")
    ended = command(*arguments, "other.yaml", "--config", "w.yaml")
    assert (ended.code, ended.out) == (64, "")
    assert "other.yaml" in ended.err
    assert "w.yaml" in ended.err


@pytest.mark.parametrize("arguments", [each for each in READERS if each != ("config", "show")])
def test_no_configuration_is_a_usage_error(command: Command, store: Path, arguments: tuple[str, ...]) -> None:
    """Without a configuration anywhere, a command exits with 64 and says what names one."""
    ended = command(*arguments)
    assert (ended.code, ended.out) == (64, "")
    assert "--config" in ended.err


def test_the_shown_configuration_is_the_default_one_or_the_defaults(command: Command, store: Path) -> None:
    """`config show` shows watcher.yaml if there is one, and the defaults without one, or with --defaults."""
    (store / "watcher.yaml").write_text(CONFIG + "pace: {rate: 7}\n", encoding="utf-8")
    assert "rate: 7" in command("config", "show").out
    assert "rate: null" in command("config", "show", "--defaults").out
    (store / "watcher.yaml").unlink()
    assert "rate: null" in command("config", "show").out


def test_a_queue_is_a_target_beside_a_default_configuration(command: Command, store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`submit --queue-url` does not use a default configuration, and rejects one that is given."""
    monkeypatch.setenv("WATCHER_CONFIG", "w.yaml")
    assert "not an SQS queue" not in command("submit", "abc/t1", "w.yaml").err
    given = command("submit", "abc/t1", "w.yaml", "--queue-url", "https://sqs.eu-west-1.amazonaws.com/123456789012/q")
    assert (given.code, given.out) == (64, "")
    default = command("submit", "abc/t1", "--queue-url", "ftp://x")
    assert "--queue-url" in default.err, "the option was read, and not the configuration"


ELSEWHERE = (
    "sources: [{type: lines, path: '${NO_SUCH_TASKS}'}]\n"
    "sinks: [{type: webhook, url: 'https://example.com/hook', secrets: ['${NO_SUCH_SECRET}']}]\n"
    "events: {results: hashed, hash_key: '${NO_SUCH_KEY}'}\n"
    "logs: {level: 5}\n"
    "store: {type: sqlite, path: w.db}\n"
)
"""A configuration whose store is valid, and nothing else."""


@pytest.mark.parametrize("arguments", [each for each in READERS if each[0] in ("tasks", "explain", "dead-letters", "forget")])
def test_a_command_on_the_store_needs_the_store_only(
    command: Command, store: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...]
) -> None:
    """Missing secrets and mistakes outside of `store` do not stop a command that only uses the store."""
    monkeypatch.setenv("WATCHER_LIMITS__MAX_WATCHES", "many")
    (store / "w.yaml").write_text(ELSEWHERE, encoding="utf-8")
    ended = command(*arguments, "--config", "w.yaml")
    assert (ended.code, ended.err) == (0, "")


def test_explain_checks_the_settings_that_it_explains_with(command: Command, store: Path) -> None:
    """`explain` reports mistakes of `cadence`, `pace` and `watch`, by which it computes the next poll, and of no other section."""
    (store / "w.yaml").write_text(ELSEWHERE + "cadence: {max_gap: soon}\npace: {rate: -3}\nwatch: {deadline: -1}\n", encoding="utf-8")
    ended = command("explain", "abc/t1", "--config", "w.yaml")
    assert [line.split(": ")[1] for line in ended.err.splitlines()] == ["cadence.max_gap", "pace.rate", "watch.deadline"]


def test_submit_needs_the_sources_only(command: Command, here: Path) -> None:
    """A missing secret of a sink does not stop `submit`."""
    (here / "w.yaml").write_text(ELSEWHERE.replace("${NO_SUCH_TASKS}", "tasks.txt"), encoding="utf-8")
    assert command("submit", "abc/t1", "w.yaml").code == 0


@pytest.mark.parametrize("place", ["my dir/w.yaml", "w'.yaml", "watcher.yaml"])
def test_the_hint_about_dead_letters_can_be_pasted(command: Command, store: Path, place: str) -> None:
    """The command that `explain` prints for a dead letter runs as it is printed, wherever the configuration is."""
    (store / place).parent.mkdir(exist_ok=True)
    (store / place).write_text(CONFIG, encoding="utf-8")
    event = dead_letter("feed5eed00000000", b'{"x": 1}', key="speaker-search/abc/t1", what="event", origin="log", reason="size")
    recorded(dead_letters=[event])
    shown = command("explain", "abc/t1", "--config", place).out
    [line] = [line for line in shown.splitlines() if "dead-letters show" in line]
    words = shlex.split(line.partition(": ")[2])
    assert words[0] == "watcher"
    assert ("--config" in words) == (place != "watcher.yaml")
    assert '"x": 1' in command(*words[1:]).out


@pytest.mark.process
def test_the_hint_in_the_log_can_be_pasted(command: Command, store: Path) -> None:
    """The command that the log of `run` has for an invalid message runs as it is printed, from any directory."""
    (store / "a dir").mkdir()
    (store / "a dir" / "w.yaml").write_text(CONFIG, encoding="utf-8")
    (store / "tasks.txt").write_text("no task in this line\n", encoding="utf-8")
    environment = {**os.environ, "AWS_REGION": "eu-central-1"}
    done = completed([PYTHON, "-m", "watcher", "run", "a dir/w.yaml"], capture_output=True, text=True, env=environment)
    [line] = [json.loads(line) for line in done.stderr.splitlines() if '"input_rejected"' in line]
    words = shlex.split(line["hint"])
    assert (done.returncode, words[0], "--config" in words) == (0, "watcher", True)
    shown = command(*words[1:])
    assert (shown.code, shown.out.splitlines()[-1]) == (0, "no task in this line")


def test_init_writes_a_configuration_that_works(command: Command, here: Path) -> None:
    """`init` writes watcher.yaml, which `config check` accepts as it is, and prints commands that run as printed."""
    ended = command("init")
    assert (ended.code, ended.err) == (0, "")
    commands = [shlex.split(line) for line in ended.out.splitlines() if line.startswith("  ")]
    assert ["watcher", "config", "check"] in commands
    checked = command("config", "check")
    assert (checked.code, checked.out) == (0, "watcher.yaml: valid; 1 source, store sqlite, 1 sink\n")
    assert json.loads(json.dumps(command("config", "show").out))


def test_init_writes_the_file_that_is_given(command: Command, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`init` writes the file that is given, else the one that WATCHER_CONFIG names; its hints name that file, quoted."""
    (here / "a b").mkdir()
    ended = command("init", "--minimal", "a b/min.yaml")
    assert "  watcher config check --config 'a b/min.yaml'" in ended.out.splitlines()
    assert command("config", "check", "a b/min.yaml").code == 0
    monkeypatch.setenv("WATCHER_CONFIG", "named.yaml")
    assert command("init").code == 0
    assert (here / "named.yaml").exists()
    assert not (here / "watcher.yaml").exists()


@pytest.mark.parametrize("existing", ["file", "link"])
def test_init_replaces_nothing_without_force(command: Command, here: Path, existing: str) -> None:
    """`init` exits with 64 for a file that exists, also a link to nothing, and leaves it as it is; --force replaces it."""
    target = here / "mine.yaml"
    target.write_text("mine", encoding="utf-8") if existing == "file" else target.symlink_to(here / "elsewhere.yaml")
    ended = command("init", "mine.yaml")
    assert (ended.code, ended.out) == (64, "")
    assert "--force" in ended.err
    assert target.read_text(encoding="utf-8") == "mine" if existing == "file" else not (here / "elsewhere.yaml").exists()
    assert command("init", "--force", "mine.yaml").code == 0
    assert command("config", "check", "mine.yaml").code == 0


def test_init_needs_a_directory(command: Command, here: Path) -> None:
    """`init` exits with 74 where the directory of the file does not exist."""
    assert command("init", "no/such/w.yaml").code == 74


def test_init_writes_to_stdout(command: Command, here: Path) -> None:
    """`init -` prints the file and nothing else, and creates none."""
    before = set(here.iterdir())
    ended = command("init", "--minimal", "-")
    assert (ended.code, ended.out, ended.err) == (0, (TEMPLATES / "minimal.yaml").read_text(encoding="utf-8"), "")
    assert set(here.iterdir()) == before


def test_init_says_why_a_file_cannot_be_written(command: Command, here: Path) -> None:
    """The error names the directory that does not exist with the command that creates it, or else the reason of the system."""
    ended = command("init", "x y/z.yaml")
    assert (ended.code, ended.out) == (74, "")
    assert ended.err == "x y/z.yaml: cannot be written: the directory x y does not exist; create it: mkdir -p 'x y'\n"
    (here / "d.yaml").mkdir()
    ended = command("init", "--force", "d.yaml")
    assert ended.code == 74
    assert "d.yaml: cannot be written: Is a directory; check the path" in ended.err
