"""The code blocks of docs/extending.md run as they are: the sink passes the exam, the registry builds it, the kind is valid."""

import asyncio
import re
import sys
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType

import pytest
from ruamel.yaml import YAML

from watcher.adapters.aws.reply import read_reply
from watcher.adapters.aws.service_models import ServiceModels
from watcher.core.intake.submissions import read
from watcher.errors import ConfigMistakes
from watcher.kinds.api_check import check_kind
from watcher.kinds.catalog import DEFAULT_KIND, Catalog, builtin_catalog
from watcher.kinds.kind_files import read_forms, read_kinds
from watcher.model import TaskRef
from watcher.registry import AdapterType

PAGE = (Path(__file__).parents[2] / "docs" / "extending.md").read_text("utf-8")
SINK, LINE, EXAM = re.findall(r"^```python\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
CONFIGURATION, FULL_ENTRY, KIND = re.findall(r"^```yaml\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
(MISTAKES,) = re.findall(r"^```text\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
FILE = "medical-transcription.yaml"
load_yaml = YAML(typ="safe", pure=True).load


def run(name, code):
    """Return the module that the code makes, importable by its name as if it had a file."""
    module = sys.modules[name] = ModuleType(name)
    exec(compile(code, f"docs/extending.md: {name}", "exec"), module.__dict__)
    return module


unix_socket = run("watcher.adapters.sinks.unix_socket", SINK)
exam = run("tests.contracts.test_unix_socket_sink", EXAM)
receiver = exam.receiver
TestUnixSocketSink = exam.TestUnixSocketSink
test_the_answer_decides = exam.test_the_answer_decides


def entry():
    """The word and the entry of the registry's line."""
    ((word, adapter),) = eval(f"{{{LINE}}}", {"AdapterType": AdapterType}).items()
    return word, adapter


def test_the_line_of_the_registry_builds_the_sink():
    """The line names the sink by the word that its settings have for `type`, and builds it from the configuration of the page."""
    word, adapter = entry()
    (configured,) = load_yaml(CONFIGURATION)["sinks"]
    assert configured["type"] == word
    assert adapter.build(adapter.settings.model_validate(configured), None).name == word


def test_the_entry_for_full_yaml_has_every_key_with_its_default():
    """The entry has all keys of the settings, and each optional one has its default."""
    (shown,) = load_yaml(FULL_ENTRY)
    settings = entry()[1].settings
    assert list(shown) == list(settings.model_fields)
    assert settings.model_validate(shown) == settings(socket=shown["socket"])


@pytest.mark.looptime
async def test_a_timeout_is_a_named_error(monkeypatch):
    """The sink raises Unavailable after its limit, when the connection is never made."""
    sink = unix_socket.UnixSocketSink(unix_socket.UnixSocketSinkSettings(socket="unused"))

    async def never(*_):
        await asyncio.Event().wait()

    monkeypatch.setattr(unix_socket.anyio, "connect_unix", never)
    with pytest.raises(unix_socket.Unavailable, match="TimeoutError"):
        await sink.send([exam.an_event()])


def test_the_kind_of_the_page_is_valid():
    """The YAML file of the page is a kind that does not ship, agrees with the model of its API, and reads a reply of the service."""
    (form,) = read_forms({FILE: KIND})
    kind = form.kind()
    assert kind.name not in builtin_catalog()
    assert check_kind(form, ServiceModels()) == []
    job = {
        "MedicalTranscriptionJobName": "visit-1",
        "TranscriptionJobStatus": "COMPLETED",
        "CreationTime": datetime(2026, 11, 22, 10, tzinfo=UTC),
        "CompletionTime": datetime(2026, 11, 22, 11, tzinfo=UTC),
        "Transcript": {"TranscriptFileUri": "s3://bucket/visit-1.json"},
    }
    seen = read_reply(
        kind, TaskRef("medical-transcription", ("visit-1",)), {"MedicalTranscriptionJob": job}, job["CompletionTime"].timestamp()
    )
    assert (seen.status, seen.result) == ("COMPLETED", {"uri": "s3://bucket/visit-1.json"})
    assert seen.updated_at == job["CompletionTime"].timestamp()


def test_the_messages_of_the_page_name_a_task_of_the_kind():
    """The message and the line that the page shows, with the kind in the catalog."""
    catalog = Catalog([*builtin_catalog(), *read_kinds({FILE: KIND})], DEFAULT_KIND)
    (message,) = re.findall(r'`(\{"kind": [^`]+)`', PAGE)
    (line,) = re.findall(r"`(medical-transcription/[^`]+)`", PAGE)
    for body in (message, line):
        (found,) = read(body.encode(), catalog, now=0.0, plain=True)
        assert found.ref == TaskRef("medical-transcription", ("visit-1",))


def test_the_mistakes_of_the_page_are_those_that_are_reported():
    """The page shows what is reported for the two mistakes that it names."""
    text = KIND.replace("status: TranscriptionJobStatus", "status: Transcription Job").replace("QUEUED: open", "QUEUED: opne")
    with pytest.raises(ConfigMistakes) as caught:
        read_kinds({FILE: text})
    assert [*caught.value.mistakes] == MISTAKES.splitlines()
