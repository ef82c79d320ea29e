"""Prometheus understands every expression of the dashboard. `tests/observe/test_deploy.py` checks that their metrics exist."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.pages import ROOT
from tests.process import completed
from tests.prometheus import program

DASHBOARD = json.loads((ROOT / "config" / "deploy" / "grafana-dashboard.json").read_text())
VARIABLES = {"$__rate_interval": "1m", "$__range": "1h", "$__interval": "15s"}
"""What Grafana puts into an expression, with an example of each."""


def expressions() -> list[str]:
    """The expressions of all panels, with examples in place of Grafana's variables."""
    found = [target["expr"] for panel in DASHBOARD["panels"] for target in panel.get("targets", ())]
    for variable, example in VARIABLES.items():
        found = [expression.replace(variable, example) for expression in found]
    return found


@pytest.mark.process
def test_prometheus_parses_each_expression(tmp_path: Path) -> None:
    """promtool reads each expression, as the expression of a recording rule."""
    rules = [{"record": f"panel:{number}", "expr": expression} for number, expression in enumerate(expressions())]
    (tmp_path / "rules.yaml").write_text(json.dumps({"groups": [{"name": "dashboard", "rules": rules}]}))
    done = completed([program("promtool"), "check", "rules", "rules.yaml"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{len(rules)} rules found" in done.stdout


def test_no_variable_is_left() -> None:
    """The dashboard needs no variable but the data source, so it works as soon as it is imported or provisioned."""
    assert [variable["name"] for variable in DASHBOARD["templating"]["list"]] == ["datasource"]
    assert not any("$" in expression for expression in expressions())


def test_each_panel_has_a_place_and_a_title() -> None:
    """No two panels share an id or a title, none overlaps another one, and all use the chosen data source."""
    panels = DASHBOARD["panels"]
    assert len({panel["id"] for panel in panels}) == len({panel["title"] for panel in panels}) == len(panels)
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        at = panel["gridPos"]
        cells = {(at["x"] + x, at["y"] + y) for x in range(at["w"]) for y in range(at["h"])}
        assert at["x"] + at["w"] <= 24
        assert not cells & taken, panel["title"]
        taken |= cells
        if "targets" in panel:
            assert re.fullmatch(r"\$\{datasource\}", panel["datasource"]["uid"])
