"""The manifests of `config/deploy/kubernetes` fit the image, the configuration, the metrics, and the limits of the watcher."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Mapping
from typing import Any

import pytest
from ruamel.yaml import YAML

from tests.deploy.alert_copy import ALERTS, COPY, copied
from tests.deploy.kustomize import APPLICABLE, KUBERNETES, Manifest, compose
from tests.observe.test_deploy import declared
from tests.pages import ROOT
from watcher.config import Settings, parse

DOCKERFILE = (ROOT / "Dockerfile").read_text()
load_yaml = YAML(typ="safe", pure=True).load
WORKLOADS = ("sqlite", "postgres", "keda")
USER = 10001


def by_kind(directory: str, kind: str) -> dict[str, Manifest]:
    """The composed manifests of a kind, by their names."""
    return {each["metadata"]["name"]: each for each in compose(KUBERNETES / directory) if each["kind"] == kind}


def workload(directory: str) -> Manifest:
    """The Deployment or the StatefulSet."""
    (found,) = [each for each in compose(KUBERNETES / directory) if each["kind"] in ("Deployment", "StatefulSet")]
    return found


def pod(directory: str) -> Mapping[str, Any]:
    spec: Mapping[str, Any] = workload(directory)["spec"]["template"]["spec"]
    return spec


def container(directory: str) -> Mapping[str, Any]:
    (found,) = pod(directory)["containers"]
    return found  # type: ignore[no-any-return]


def settings(directory: str) -> Settings:
    """What the pods run with: the mounted configuration and the variables of their ConfigMap."""
    maps = by_kind(directory, "ConfigMap")
    (source,) = container(directory)["envFrom"]
    (config,) = [volume["configMap"]["name"] for volume in pod(directory)["volumes"] if "configMap" in volume]
    return parse(maps[config]["data"]["watcher.yaml"], "watcher.yaml", maps[source["configMapRef"]["name"]]["data"])


@pytest.mark.parametrize("name", APPLICABLE)
def test_kustomize_composes_the_same(name: str) -> None:
    """Where kubectl is installed, its Kustomize composes what the checks and tests read. No package registry has it, so CI may lack it."""
    kubectl = shutil.which("kubectl")
    if kubectl is None:
        pytest.skip("kubectl is not installed")
    version = subprocess.run([kubectl, "version", "--client", "--output=json"], capture_output=True, text=True, check=False)
    if not re.search(r'"kustomizeVersion": "v5', version.stdout):
        pytest.skip("kubectl has no Kustomize 5")
    done = subprocess.run([kubectl, "kustomize", KUBERNETES / name], capture_output=True, text=True, check=True)
    theirs = YAML(typ="safe", pure=True).load_all(done.stdout)

    def ordered(manifests: Any) -> list[str]:
        return sorted(json.dumps(manifest, sort_keys=True) for manifest in manifests)

    assert ordered(compose(KUBERNETES / name)) == ordered(theirs)


@pytest.mark.parametrize("name", [*WORKLOADS, "monitoring"])
def test_everything_is_in_one_namespace(name: str) -> None:
    """Each manifest names its namespace, so `kubectl apply` needs no option, and no two of them share kind and name."""
    manifests = compose(KUBERNETES / name)
    assert {each["metadata"].get("namespace") for each in manifests if each["kind"] != "Namespace"} == {"watcher"}
    assert len({(each["kind"], each["metadata"]["name"]) for each in manifests}) == len(manifests)


def test_the_configuration_is_that_of_the_image() -> None:
    """Without settings, a pod runs as a container of the image does."""
    ours, image = (KUBERNETES / "base" / "watcher.yaml", KUBERNETES.parent / "container.yaml")
    environ = {"WATCHER_QUEUE_URL": "https://sqs.us-east-1.amazonaws.com/111122223333/tasks"}
    assert parse(ours.read_text(), ours.name, environ) == parse(image.read_text(), image.name, environ)


def test_the_tokens_in_the_comment_are_valid() -> None:
    """Without the comment signs, the configuration has a token for each role, in files of the mounted Secret."""
    text = (KUBERNETES / "base" / "watcher.yaml").read_text()
    before, start, rest = text.partition("  # tokens:\n")
    uncommented = before + re.sub(r"^  # ", "  ", start + rest, flags=re.MULTILINE)
    tokens = parse(uncommented, "watcher.yaml", {"WATCHER_QUEUE_URL": "https://sqs.us-east-1.amazonaws.com/111122223333/tasks"}).api.tokens
    assert [token.role for token in tokens] == ["read", "write"]
    mounts = {mount["name"]: mount["mountPath"] for mount in container("postgres")["volumeMounts"]}
    assert all(str(token.token_file).startswith(f"{mounts['api-tokens']}/") for token in tokens)


@pytest.mark.parametrize("name", WORKLOADS)
def test_pods_run_with_valid_settings(name: str) -> None:
    """The configuration with its variables is valid, and the store is the one that the directory is for."""
    ours = settings(name)
    assert ours.store.type == ("sqlite" if name == "sqlite" else "postgres")
    assert f"EXPOSE {ours.api.listen.removeprefix(':')}" in DOCKERFILE
    assert pod(name)["terminationGracePeriodSeconds"] >= ours.limits.stop_deadline + 5


@pytest.mark.parametrize("name", WORKLOADS)
def test_files_that_settings_name_are_mounted(name: str) -> None:
    """The state is on a volume, and each path in the settings is below a mounted one."""
    mounts = {mount["mountPath"] for mount in container(name)["volumeMounts"]}
    assert {mount["name"] for mount in container(name)["volumeMounts"]} == {
        *(volume["name"] for volume in pod(name)["volumes"]),
        *(claim["metadata"]["name"] for claim in workload(name)["spec"].get("volumeClaimTemplates", ())),
    }
    ours = settings(name)
    if name == "sqlite":
        assert "/var/lib/watcher" in mounts
        assert "WORKDIR /var/lib/watcher" in DOCKERFILE
        assert workload(name)["spec"]["replicas"] == 1
    else:
        dsn = ours.store.dsn.get_secret_value()
        for path in (str(ours.store.password_file), re.search(r"sslrootcert=([^&]+)", dsn)[1]):  # type: ignore[index]  # no match fails
            assert path.rpartition("/")[0] in mounts
        assert "sslmode=verify-full" in dsn


@pytest.mark.parametrize("name", WORKLOADS)
def test_pods_have_no_privileges(name: str) -> None:
    """The pods fit the Pod Security Standard `restricted`, which their namespace enforces, and run as the user of the image."""
    outer, inner = pod(name)["securityContext"], container(name)["securityContext"]
    assert (outer["runAsNonRoot"], outer["runAsUser"], outer["runAsGroup"], outer["fsGroup"]) == (True, USER, USER, USER)
    assert f"USER {USER}:{USER}" in DOCKERFILE
    assert outer["seccompProfile"] == {"type": "RuntimeDefault"}
    assert inner == {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}}
    assert pod(name)["automountServiceAccountToken"] is False
    assert by_kind(name, "Namespace")["watcher"]["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    assert (
        f"--memory {container(name)['resources']['limits']['memory'].lower().removesuffix('i')}"
        in (KUBERNETES.parent / "run.sh").read_text()
    )
    assert "cpu" not in container(name)["resources"]["limits"]


@pytest.mark.parametrize("name", WORKLOADS)
def test_no_service_sets_a_variable(name: str) -> None:
    """Kubernetes would set WATCHER_PORT for the Service of this name, which is no setting, so the start would fail."""
    assert pod(name)["enableServiceLinks"] is False


@pytest.mark.parametrize("name", WORKLOADS)
def test_probes_do_not_depend_on_components(name: str) -> None:
    """All probes ask /healthz: a sink that is down neither restarts a pod, nor takes the API away, nor stops an update."""
    (port,) = container(name)["ports"]
    assert f"EXPOSE {port['containerPort']}" in DOCKERFILE
    for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
        assert container(name)[probe]["httpGet"] == {"path": "/healthz", "port": port["name"]}
        assert container(name)[probe]["timeoutSeconds"] == 5


@pytest.mark.parametrize("name", WORKLOADS)
def test_each_selector_finds_the_pods(name: str) -> None:
    """The Service, the network policies, the budget, and the spread select the pods."""
    labels = workload(name)["spec"]["template"]["metadata"]["labels"]
    assert workload(name)["spec"]["selector"]["matchLabels"] == labels
    assert by_kind(name, "Service")["watcher"]["spec"]["selector"] == labels
    policies = by_kind(name, "NetworkPolicy").values()
    budgets = by_kind(name, "PodDisruptionBudget").values()
    spread = pod(name).get("topologySpreadConstraints", ())
    selectors = [
        *(policy["spec"]["podSelector"] for policy in policies),
        *(budget["spec"]["selector"] for budget in budgets),
        *(each["labelSelector"] for each in spread),
    ]
    assert all(selector == {"matchLabels": labels} for selector in selectors)
    assert bool(budgets) == bool(spread) == (name != "sqlite")


@pytest.mark.parametrize("name", WORKLOADS)
def test_the_network_policies_let_pass_what_is_needed(name: str) -> None:
    """In: the port of the API only. Out: DNS, HTTPS, the agent of Pod Identity, and the database with PostgreSQL; never the node's role."""
    rules = [policy["spec"] for policy in by_kind(name, "NetworkPolicy").values()]
    assert {port["port"] for spec in rules for rule in spec.get("ingress", ()) for port in rule["ports"]} == {8080}
    assert {port["port"] for spec in rules for rule in spec["egress"] for port in rule["ports"]} == {53, 443, 80} | (
        set() if name == "sqlite" else {5432}
    )
    (anywhere,) = [
        to["ipBlock"] for spec in rules for rule in spec["egress"] for to in rule["to"] if to.get("ipBlock", {}).get("cidr") == "0.0.0.0/0"
    ]
    assert anywhere["except"] == ["169.254.0.0/16"]


def test_replicas_are_replaced_one_by_one() -> None:
    """An update and a drain take one of three replicas at most, and a new one must live for as long as a lease."""
    spec = workload("postgres")["spec"]
    assert spec["replicas"] == 3
    assert spec["strategy"] == {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 1, "maxSurge": 1}}
    assert spec["minReadySeconds"] >= settings("postgres").store.lease
    assert by_kind("postgres", "PodDisruptionBudget")["watcher"]["spec"]["maxUnavailable"] == 1


def test_keda_scales_the_deployment_by_metrics_that_exist() -> None:
    """The scaler owns the number of replicas; its queries use metrics of the watcher, and none that a shortage of calls raises."""
    (scaled,) = by_kind("keda", "ScaledObject").values()
    target = workload("keda")
    assert scaled["spec"]["scaleTargetRef"] == {"kind": target["kind"], "name": target["metadata"]["name"]}
    assert "replicas" not in target["spec"]
    assert scaled["spec"]["minReplicaCount"] == workload("postgres")["spec"]["replicas"] == scaled["spec"]["fallback"]["replicas"]
    series = {*declared(), "process_cpu_seconds_total"}
    for trigger in scaled["spec"]["triggers"]:
        used = set(re.findall(r"(?:watcher|process)_[a-z_]+", trigger["metadata"]["query"]))
        assert used
        assert used <= series
        assert not used & {"watcher_due_lateness_seconds"}
        assert trigger["metricType"] == "AverageValue"
    (watches,) = [float(each["metadata"]["threshold"]) for each in scaled["spec"]["triggers"] if each["name"] == "open-watches"]
    assert watches < settings("keda").limits.max_watches


def test_the_monitor_scrapes_the_pods() -> None:
    """The PodMonitor selects the pods, and names the port and the path of the metrics."""
    (monitor,) = by_kind("monitoring", "PodMonitor").values()
    assert monitor["spec"]["selector"]["matchLabels"] == workload("postgres")["spec"]["template"]["metadata"]["labels"]
    (endpoint,) = monitor["spec"]["podMetricsEndpoints"]
    assert endpoint["port"] == container("postgres")["ports"][0]["name"]
    assert endpoint["path"] == "/metrics"


def test_the_alerts_of_the_operator_are_those_that_ship() -> None:
    """The copy of the alerts is up to date: `python -m tests.deploy.alert_copy` writes it."""
    assert COPY.read_text() == copied()
    assert load_yaml(COPY.read_text())["spec"] == load_yaml(ALERTS.read_text())


def test_a_field_that_the_composer_does_not_know_is_an_error(tmp_path: Any) -> None:
    """What Kustomize would do with such a field is not guessed."""
    (tmp_path / "kustomization.yaml").write_text("namePrefix: x-\n")
    with pytest.raises(AssertionError, match="namePrefix"):
        compose(tmp_path)
