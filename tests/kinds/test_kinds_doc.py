"""docs/kinds.md has what the catalog has, and what it shows is accepted."""

import json

import pytest
from ruamel.yaml import YAML

from tests.pages import ROOT, blocks
from watcher.adapters.aws.service_models import ServiceModels
from watcher.core.intake.submissions import read
from watcher.kinds.api_check import check_kind
from watcher.kinds.catalog import builtin_catalog
from watcher.kinds.document import iam_actions, updated_page
from watcher.kinds.form import KindForm
from watcher.model import Submission

PAGE = ROOT / "docs" / "kinds.md"
CATALOG = builtin_catalog()
APIS = ServiceModels()


def test_the_page_is_up_to_date() -> None:
    """Its generated part is what the command in its marker line writes."""
    assert PAGE.read_text() == updated_page(PAGE.read_text())


def test_a_page_without_markers_is_refused() -> None:
    """The command replaces nothing that was written by hand."""
    with pytest.raises(ValueError, match="marker"):
        updated_page("# Kinds\n")


def test_each_message_of_the_page_names_a_task_of_its_kind() -> None:
    """The page has one for each kind, which is accepted as it is."""
    messages = [json.loads(line) for block in blocks(PAGE, "json") for line in block.splitlines()]
    outcomes = [read(json.dumps(message).encode(), CATALOG, now=0.0) for message in messages]
    found = [outcome.ref.kind for (outcome,) in outcomes if isinstance(outcome, Submission)]
    assert found == [message["kind"] for message in messages]
    assert set(found) == set(CATALOG.kinds)


def test_a_permission_is_named_as_the_api_names_the_call() -> None:
    """IAM names an action as the API names the operation."""
    for kind in CATALOG:
        operations = APIS.service(kind.service).operations
        assert [each.partition(":")[2] for each in iam_actions(kind)] == [operations[method].name for method in kind.operations]


def test_the_kind_of_the_page_agrees_with_the_model_of_its_api() -> None:
    """A reader can take it as it is: it is not in the catalog, and config check finds nothing wrong with it."""
    (text,) = blocks(PAGE, "yaml")
    (declared,) = YAML(typ="safe", pure=True).load(text)["kinds"]
    form = KindForm.model_validate_json(json.dumps(declared), strict=True)
    assert form.name not in CATALOG
    assert check_kind(form, APIS) == []
