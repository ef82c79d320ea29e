"""Each alert fires when it should and not before, in the rule evaluation of Prometheus itself (promtool)."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from tests.pages import OPERATING, PAGES, ROOT, first_column
from tests.process import completed
from tests.prometheus import program

pytestmark = pytest.mark.process

ALERTS = ROOT / "config" / "deploy" / "alerts.yaml"
RULES: Mapping[str, Mapping[str, Any]] = {
    rule["alert"]: rule for group in YAML(typ="safe", pure=True).load(ALERTS.read_text())["groups"] for rule in group["rules"]
}
LAG, STORE = "watcher_detection_lag_seconds_bucket", "watcher_store_operation_duration_seconds_bucket"


@dataclass(frozen=True)
class Scene:
    """Series with one value for each minute, in the notation of promtool, and what an alert must say at which minutes.

    `1x5 0x20` is six times 1, then 21 times 0; `0+7x60` grows by 7 a minute; `_x5` are five minutes without a sample.
    """

    alert: str
    series: Mapping[str, str]
    fires: Sequence[int]
    quiet: Sequence[int]
    labels: Mapping[str, str] = field(default_factory=dict)


def unhealthy(alert: str, component: str, fires: int) -> Scene:
    """A component that fails from the sixth minute on, at one of two watchers."""
    labels = {"component": component, "instance": "a:8080"}
    series = {f'watcher_component_healthy{{component="{component}",instance="{at}:8080"}}': values for at, values in BOTH.items()}
    return Scene(alert, series, [fires], [5, fires - 2], labels)


BOTH = {"a": "1x5 0x40", "b": "1x60"}

SCENES = [
    Scene("WatcherGone", {"watcher_build_info": "1x4 _x40"}, [20], [4, 9]),
    unhealthy("WatcherStoreUnhealthy", "store", 8),
    unhealthy("WatcherLeasesNotRenewed", "leases", 8),
    Scene(  # the alert of the store says it at that replica
        "WatcherLeasesNotRenewed",
        {
            f'watcher_component_healthy{{component="{component}",instance="{at}:8080"}}': values
            for at, component, values in (
                ("a", "leases", "1x5 0x40"),
                ("a", "store", "1x5 0x40"),
                ("b", "leases", "1x9 0x40"),
                ("b", "store", "1x60"),
            )
        },
        [12],
        [8],
        {"component": "leases", "instance": "b:8080"},
    ),
    Scene(  # replica b ends at 6, replica c takes its shards over at 20
        "WatcherShardsUnowned",
        {
            **{
                f'watcher_shards{{job="watcher",instance="{at}"}}': values
                for at, values in {"a": "64x60", "b": "64x5", "c": "64x60"}.items()
            },
            'watcher_shards_owned{job="watcher",instance="a"}': "22x60",
            'watcher_shards_owned{job="watcher",instance="b"}': "21x5",
            'watcher_shards_owned{job="watcher",instance="c"}': "21x19 42x40",
            'watcher_shards{job="other",instance="d"}': "1x60",
            'watcher_shards_owned{job="other",instance="d"}': "1x60",
        },
        [13, 19],
        [4, 11, 21],
        {"job": "watcher"},
    ),
    Scene(  # the second one at 70; for three within an hour there is another alert
        "WatcherReplicaExpired",
        {
            'watcher_takeovers_total{job="watcher",instance="a"}': "0x10 21x200",
            'watcher_takeovers_total{job="watcher",instance="b"}': "0x69 5x200",
            **{f'watcher_takeovers_total{{job="often",instance="{at}"}}': "0x10 21x200" for at in "cde"},
        },
        [12, 24, 72],
        [10, 28, 90],
        {"job": "watcher"},
    ),
    Scene(  # three at two replicas, then none for an hour
        "WatcherReplicasExpire",
        {
            'watcher_takeovers_total{job="watcher",instance="a"}': "0x10 21x9 43x100",
            'watcher_takeovers_total{job="watcher",instance="b"}': "0x30 21x100",
            'watcher_takeovers_total{job="other",instance="c"}': "0x10 21x9 43x100",
        },
        [32, 60],
        [29, 75],
        {"job": "watcher"},
    ),
    unhealthy("WatcherSourceUnhealthy", "source:intake.fifo", 12),
    unhealthy("WatcherSinkUnhealthy", "sink:crm-eu", 12),
    unhealthy("WatcherQuotaZero", "quota:voice-tone", 17),
    Scene(
        "WatcherCircuitOpen",
        {
            'watcher_circuit_open{circuit="credentials",target="default",service=""}': "0x5 1x40",
            'watcher_circuit_open{circuit="outage",target="default",service="chime-sdk-voice"}': "0x60",
        },
        [12],
        [5, 10],
        {"circuit": "credentials"},
    ),
    Scene("WatcherOutboxOld", {'watcher_outbox_age_seconds{sink="bus"}': "0+60x40"}, [12], [4, 10], {"sink": "bus"}),
    Scene("WatcherBehind", {'watcher_due_lateness_seconds{quota="voice-tone"}': "59x4 61x40"}, [16], [4, 14], {"quota": "voice-tone"}),
    Scene(
        "WatcherDetectionSlow",
        {
            f'{LAG}{{kind="voice-tone",le="{le}"}}': values
            for le, values in {"60": "0+97x60", "120": "0+100x60", "+Inf": "0+100x60"}.items()
        },
        [20],
        [12],
        {"kind": "voice-tone"},
    ),
    Scene(
        "WatcherThrottled",
        {
            'watcher_polls_total{kind="voice-tone",outcome="throttled"}': "0+3x60",
            'watcher_polls_total{kind="voice-tone",outcome="unchanged"}': "0+11x60",
            'watcher_polls_total{kind="speaker-search",outcome="throttled"}': "0+1x60",
            'watcher_polls_total{kind="speaker-search",outcome="unchanged"}': "0+9x60",
        },
        [20],
        [12],
        {"kind": "voice-tone"},
    ),
    Scene(
        "WatcherPollsFailing",
        {
            'watcher_polls_total{kind="voice-tone",outcome="unreadable"}': "0+7x60",
            'watcher_polls_total{kind="voice-tone",outcome="busy"}': "0+70x60",
            'watcher_polls_total{kind="voice-tone",outcome="denied"}': "0+5x60",
        },
        [27],
        [20],
        {"kind": "voice-tone", "outcome": "unreadable"},
    ),
    Scene(
        "WatcherDeadLetters",
        {
            'watcher_dead_letters_total{what="input",origin="queue",reason="depth"}': "0x20 1x200",
            'watcher_dead_letters_total{what="input",origin="queue",reason="kind"}': "0x300",
        },
        [22, 70],
        [0, 20, 90, 200],
        {"what": "input", "origin": "queue", "reason": "depth"},
    ),
    Scene(  # born at 2: a reason that was not known before, or counted before the first scrape
        "WatcherDeadLetters",
        {'watcher_dead_letters_total{what="event",origin="crm",reason="http_410"}': "_x19 2x200"},
        [20, 70],
        [18, 90, 200],
        {"what": "event", "origin": "crm", "reason": "http_410"},
    ),
    *(
        Scene(
            alert,
            {
                'watcher_dead_letters_kept{what="event",instance="a:8080"}': f"0x4 {kept}x40",
                'watcher_dead_letters_limit{what="event",instance="a:8080"}': "50x60",
                'watcher_dead_letters_kept{what="event",instance="b:8080"}': f"{kept}x60",
                'watcher_dead_letters_limit{what="event",instance="b:8080"}': "900x60",
            },
            [7],
            [4],
            {"what": "event", "instance": "a:8080"},
        )
        for alert, kept in {"WatcherDeadLettersMany": 41, "WatcherDeadLettersFull": 50}.items()
    ),
    Scene("WatcherLoopBlocked", {"watcher_loop_lag_seconds": "0x4 6x40"}, [11], [4, 9]),
    Scene(
        "WatcherStoreSlow",
        {f'{STORE}{{operation="commit",le="{le}"}}': values for le, values in {"1": "0+9x60", "5": "0+10x60", "+Inf": "0+10x60"}.items()},
        [15],
        [9],
        {"operation": "commit"},
    ),
]


def promtool(directory: Path, *tests: Mapping[str, Any]) -> None:
    """Run these rule tests against the alerts that ship."""
    (directory / "alerts.yaml").write_text(ALERTS.read_text())
    (directory / "test.yaml").write_text(json.dumps({"rule_files": ["alerts.yaml"], "evaluation_interval": "15s", "tests": tests}))
    done = completed([program("promtool"), "test", "rules", "test.yaml"], cwd=directory, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def firing(scene: Scene) -> dict[str, Any]:
    """The alert as Prometheus must send it."""
    rule = RULES[scene.alert]

    def rendered(text: str) -> str:
        return re.sub(r"{{ \$labels\.(\w+) }}", lambda match: scene.labels.get(match[1], ""), text)

    return {
        "exp_labels": {**scene.labels, **rule["labels"]},
        "exp_annotations": {name: rendered(text) for name, text in rule["annotations"].items()},
    }


def test_each_alert_has_a_scene() -> None:
    """An alert that was never seen to fire may be one that never fires, and one that was never quiet may be one that always fires."""
    assert {scene.alert for scene in SCENES} == set(RULES)
    assert all(scene.fires and scene.quiet for scene in SCENES)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_alerts_that_a_page_names_exist(page: Path) -> None:
    """Each alert that a page names is one of those that ship."""
    assert set(re.findall(r"`(Watcher[A-Z]\w+)`", page.read_text())) <= set(RULES)


@pytest.mark.parametrize("scene", SCENES, ids=lambda scene: scene.alert)
def test_an_alert_fires_when_it_should(scene: Scene, tmp_path: Path) -> None:
    """The alert is quiet before its time and after it, and fires in between, with its labels and its texts filled in."""
    expected = [(minute, [firing(scene)]) for minute in scene.fires] + [(minute, []) for minute in scene.quiet]
    promtool(
        tmp_path,
        {
            "interval": "1m",
            "input_series": [{"series": series, "values": values} for series, values in scene.series.items()],
            "alert_rule_test": [
                {"eval_time": f"{minute}m", "alertname": scene.alert, "exp_alerts": alerts} for minute, alerts in sorted(expected, key=str)
            ],
        },
    )


@pytest.mark.parametrize("component", [name for row in first_column(OPERATING, "## Readiness") for name in row])
def test_each_component_has_an_alert(component: str, tmp_path: Path) -> None:
    """A component of /readyz that stays unhealthy raises exactly one alert."""
    series = {"watcher_build_info": "1x60", f'watcher_component_healthy{{component="{component}"}}': "0x60"}
    if component.startswith("circuit:"):
        _, circuit, *service = component.split(":")
        series[f'watcher_circuit_open{{circuit="{circuit}",target="default",service="{"".join(service)}"}}'] = "1x60"
    promtool(
        tmp_path,
        {
            "interval": "1m",
            "input_series": [{"series": name, "values": values} for name, values in series.items()],
            "promql_expr_test": [
                {"expr": 'count(ALERTS{alertstate="firing"})', "eval_time": "30m", "exp_samples": [{"labels": "{}", "value": 1}]}
            ],
        },
    )
