"""The parts of the image are consistent: Dockerfile, locks, and configuration. Building and running the image is not tested."""

import json
import re
from pathlib import Path

from watcher.config import parse

ROOT = Path(__file__).parents[1]
DOCKERFILE = (ROOT / "Dockerfile").read_text()


def test_the_configuration_inside_is_complete_with_a_queue():
    """The queue's URL is all the image must be told, and its health check asks where its configuration listens."""
    text = (ROOT / "config" / "deploy" / "container.yaml").read_text()
    settings = parse(text, "container.yaml", {"WATCHER_QUEUE_URL": "https://sqs.us-east-1.amazonaws.com/111122223333/tasks"})
    assert (settings.sources[0].type, settings.sinks[0].bus, settings.store.path) == ("sqs", "default", "watcher.db")
    (port,) = re.findall(r"C\('localhost', (\d+),", DOCKERFILE)
    assert settings.api.listen == f":{port}"
    assert f"EXPOSE {port}" in DOCKERFILE


def test_without_a_volume_one_variable_is_enough():
    """The store of the image becomes `memory` by its environment alone."""
    text = (ROOT / "config" / "deploy" / "container.yaml").read_text()
    environ = {"WATCHER_QUEUE_URL": "https://sqs.us-east-1.amazonaws.com/111122223333/tasks", "WATCHER_STORE__TYPE": "memory"}
    assert parse(text, "container.yaml", environ).store.type == "memory"


def test_commands_are_lists():
    """Entry, arguments and health check are in exec form: no shell stands between a signal and the watcher."""
    commands = re.findall(r"^(?:\s*CMD|ENTRYPOINT) (.*)$", DOCKERFILE, re.MULTILINE)
    assert len(commands) == 3
    assert all(isinstance(json.loads(command), list) for command in commands)
