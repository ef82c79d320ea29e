"""The code blocks of docs/extending.md run as they are: the sink passes the exam, and the line of the registry builds it."""

import re
import sys
from pathlib import Path
from types import ModuleType

import pytest

from watcher.registry import SINKS, AdapterType
from watcher.section import Section

DOC = Path(__file__).parents[2] / "docs" / "extending.md"
SINK, LINE, EXAM = re.findall(r"^```python\n(.*?)^```$", DOC.read_text(), re.DOTALL | re.MULTILINE)


def run(name, code):
    """Return the module that the code makes, importable by its name as if it had a file."""
    module = sys.modules[name] = ModuleType(name)
    exec(compile(code, f"{DOC}: {name}", "exec"), module.__dict__)
    return module


directory = run("watcher.adapters.sinks.directory", SINK)
TestDirectorySink = run("tests.contracts.test_directory_sink", EXAM).TestDirectorySink


def test_the_line_of_the_registry_builds_the_sink(tmp_path):
    """The line names the sink by the word that its settings take for `type`, and builds it from them."""
    ((word, entry),) = eval(f"{{{LINE}}}", {"AdapterType": AdapterType}).items()
    assert word not in SINKS
    assert issubclass(entry.settings, Section)
    settings = entry.settings.model_validate({"type": word, "path": str(tmp_path)})
    assert entry.build(settings, None).name == word


async def test_a_missing_directory_is_a_named_error(tmp_path):
    """The sink of the page raises a named error for a missing directory, which the exam of local sinks does not test."""
    sink = directory.DirectorySink(directory.DirectorySinkSettings(path=tmp_path / "none"))
    with pytest.raises(directory.Unavailable, match="no directory"):
        await sink.open()


def test_the_page_names_files_that_exist():
    """Every file that the page names exists, except for the two that the reader creates."""
    named = set(re.findall(r"`((?:watcher|tests|docs)/[\w/]+\.py)`", DOC.read_text()))
    missing = {name for name in named if not (DOC.parents[1] / name).exists()}
    assert missing == {"watcher/adapters/sinks/directory.py", "tests/contracts/test_directory_sink.py"}
