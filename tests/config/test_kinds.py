"""Kinds and targets in the configuration."""

from __future__ import annotations

from pathlib import Path

import pytest

from watcher.config import Settings, catalog_of, parse, read, read_sections, show
from watcher.config.load import Loaded
from watcher.kinds.catalog import builtin_catalog
from watcher.kinds.kind import StatusClass

EXPORTS = """
  - name: exports
    service: logs
    operation: describe_export_tasks
    params: {taskId: {}}
    task: exportTasks[0]
    status: status.code
    result: "{to: destination}"
    statuses: {PENDING: open, COMPLETED: succeeded, FAILED: failed}
"""
KINDS = f"sources: [{{type: lines}}]\nsinks: [{{type: jsonl}}]\nkinds:{EXPORTS}"
TARGETS = 'targets: [{name: eu, region: eu-central-1, role_arn: "arn:aws:iam::111122223333:role/${ROLE}"}]\n'


def settings(text: str = KINDS, **environ: str) -> Settings:
    return parse(text, "w.yaml", environ)


def test_the_catalog_has_the_shipped_kinds_and_those_of_the_configuration() -> None:
    """The shipped kinds come first, and are the same objects; the default kind stays."""
    catalog = catalog_of(settings())
    assert list(catalog)[:-1] == list(builtin_catalog())
    assert (catalog["exports"].service, catalog.default.name) == ("logs", "speaker-search")
    assert catalog.services >= {"logs", "chime-sdk-voice"}


def test_without_kinds_the_catalog_is_the_shipped_one() -> None:
    """A configuration without kinds, or with an empty list of them, has no catalog of its own."""
    for kinds in ("", "kinds: []\n", "kinds:\n"):
        assert catalog_of(settings(KINDS.partition("kinds:")[0] + kinds)) is builtin_catalog()


def test_a_reference_works_in_a_target() -> None:
    """`${NAME}` is replaced in kinds and targets as anywhere else, and the account is that of the role."""
    (target,) = settings(KINDS + TARGETS, ROLE="watcher").targets
    assert (target.role_arn, target.account) == ("arn:aws:iam::111122223333:role/watcher", "111122223333")


def test_an_override_finds_a_name_in_any_case() -> None:
    """A variable names a key of the file without regard to case; a name that the file does not have is taken as it is spelled."""
    upper = {"WATCHER_KINDS__0__PARAMS__TASKID__FIELD": "export", "WATCHER_KINDS__0__STATUSES__FAILED": "open"}
    (form,) = settings(KINDS, **upper, WATCHER_KINDS__0__STATUSES__Cancelled="failed", WATCHER_KINDS__0__PRIVATE__0="to").kinds
    kind = form.kind()
    assert [(param.name, param.field) for param in kind.params] == [("taskId", "export")]
    assert (kind.statuses["FAILED"], kind.statuses["Cancelled"]) == (StatusClass.OPEN, StatusClass.FAILED)
    assert kind.results.private == (("to",),)


def test_an_override_adds_a_target() -> None:
    """The index after the last one adds an entry."""
    (target,) = settings(WATCHER_TARGETS__0__NAME="eu", WATCHER_TARGETS__0__REGION="eu-central-1").targets
    assert (target.name, target.region) == ("eu", "eu-central-1")


def test_show_prints_kinds_that_read_back(tmp_path: Path) -> None:
    """The output of `show` has the same kinds and targets, also with names that YAML takes for other values, and their lines."""
    odd = "    extra: {on: 1, limit: [1, {a: b}]}\n    types: {'a[*].b': string, 'null': number}\n"
    text = KINDS + odd + TARGETS.replace("${ROLE}", "x")
    file = tmp_path / "w.yaml"
    file.write_text(text, encoding="utf-8")
    loaded = read(file, {})
    shown = show(loaded)
    assert parse(shown, "shown.yaml", {}) == loaded.settings
    assert f"# {file}:9" in next(line for line in shown.splitlines() if "status: status.code" in line)


def test_kinds_can_be_read_alone(tmp_path: Path) -> None:
    """A command that needs the kinds only reads them although another section has a mistake."""
    file = tmp_path / "w.yaml"
    file.write_text(KINDS + "pace: {rate: -1}\n" + TARGETS, encoding="utf-8")
    assert "exports" in catalog_of(read_sections(file, {}, ("kinds",)))


@pytest.mark.parametrize(
    ("results", "private", "valid"), [("hashed", "[]", True), ("hashed", "[to]", True), ("none", None, True), ("count", None, False)]
)
def test_a_kind_with_results_says_what_is_private(results: str, private: str | None, valid: bool) -> None:
    """With `events.results: hashed` or `count`, a kind with a result must declare `private`, which may be empty."""
    text = KINDS + ("" if private is None else f"    private: {private}\n") + f"events: {{results: {results}}}\n"
    if valid:
        assert Loaded(settings(text), {}).settings.kinds
    else:
        with pytest.raises(Exception, match=r"w.yaml:4: kinds\[0\].private: required because events.results is count"):
            settings(text)
