"""`config/deploy/compose.yaml` fits the image, the configurations, and the limits of the watcher. Containers are run by hand."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from tests.pages import ROOT
from tests.process import completed
from tests.prometheus import program
from tests.test_docs import command, command_lines
from watcher.config import Settings, parse
from watcher.core.intake.submissions import parse_ref
from watcher.kinds.catalog import builtin_catalog

DEPLOY = ROOT / "config" / "deploy"
DOCKERFILE = (ROOT / "Dockerfile").read_text()
TEXT = (DEPLOY / "compose.yaml").read_text()
load_yaml = YAML(typ="safe", pure=True).load
COMPOSE: Mapping[str, Any] = load_yaml(TEXT)
SERVICES: Mapping[str, Mapping[str, Any]] = COMPOSE["services"]
MONITORING = {name: service for name, service in SERVICES.items() if service.get("profiles") == ["monitoring"]}
OURS = {name: service for name, service in SERVICES.items() if name != "postgres" and name not in MONITORING}
REPLICATED = {name: service for name, service in OURS.items() if "deploy" in service}
SECRET = "/run/secrets/postgres-password"


def seconds(duration: str) -> float:
    """A duration of Compose, such as `30s` or `1m`."""
    number, unit = re.fullmatch(r"(\d+)([sm])", duration).groups()  # type: ignore[union-attr]  # no match fails the test
    return int(number) * {"s": 1, "m": 60}[unit]


def mounts(name: str) -> Mapping[str, Path]:
    """The files of this directory that a service mounts, by their place in the container."""
    volumes = [volume.split(":") for volume in SERVICES[name].get("volumes", ()) if volume.startswith("./")]
    assert all(mode == "ro" for _, _, mode in volumes)
    return {place: DEPLOY / file for file, place, _ in volumes}


def settings(name: str) -> Settings:
    """What the replicas of a service run with: the configuration in the image or the mounted one, and their environment."""
    file = mounts(name).get("/etc/watcher/watcher.yaml", DEPLOY / "container.yaml")
    from_outside = {"WATCHER_QUEUE_URL": "https://sqs.us-east-1.amazonaws.com/111122223333/tasks", "WATCHER_BUS": "default"}
    environ = {key: from_outside.get(key) if value is None else value for key, value in SERVICES[name]["environment"].items()}
    return parse(file.read_text(), file.name, {key: value for key, value in environ.items() if value is not None})


def test_three_replicas_by_default() -> None:
    """Both the service and the trial run three replicas, with a free port on loopback for each of them and for more."""
    assert set(REPLICATED) == {"watcher", "trial"}
    for service in REPLICATED.values():
        assert service["deploy"]["replicas"] == 3
        (port,) = service["ports"]
        first, last, inside = map(int, re.fullmatch(r"127\.0\.0\.1:(\d+)-(\d+):(\d+)", port).groups())
        assert last - first + 1 >= 3
        assert f"EXPOSE {inside}" in DOCKERFILE


def test_profiles_keep_the_trial_apart() -> None:
    """Without a profile, PostgreSQL and the watcher start; the simulated service, its replicas, and the monitoring only on request."""
    assert {name for name, service in SERVICES.items() if "profiles" not in service} == {"postgres", "watcher"}
    assert {name for name, service in SERVICES.items() if service.get("profiles") == ["simulator"]} == {"simulator", "trial"}
    assert set(MONITORING) == {"prometheus", "grafana"}


@pytest.mark.parametrize("name", OURS)
def test_containers_have_no_privileges(name: str) -> None:
    """As with run.sh: a read-only root file system, no capabilities, and a first process that handles early signals."""
    service, script = OURS[name], (DEPLOY / "run.sh").read_text()
    assert (service["read_only"], service["init"], service["cap_drop"]) == (True, True, ["ALL"])
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert all(option in script for option in ("--read-only", "--init", "--cap-drop ALL", "--security-opt no-new-privileges"))
    assert "user" not in service, "the image names its user"


@pytest.mark.parametrize("name", OURS)
def test_the_image_is_built_from_this_repository(name: str) -> None:
    """The build context is the directory of the Dockerfile, and the image has the name that run.sh starts."""
    assert (DEPLOY / OURS[name]["build"] / "Dockerfile").resolve() == ROOT / "Dockerfile"
    assert f'"${{IMAGE:={OURS[name]["image"]}}}"' in (DEPLOY / "run.sh").read_text()


@pytest.mark.parametrize("name", REPLICATED)
def test_replicas_run_with_valid_settings_on_the_database(name: str) -> None:
    """The configuration with the environment is valid, names the database and its password file, and listens where the image looks."""
    ours = settings(name)
    assert ours.store.type == "postgres"
    postgres = SERVICES["postgres"]["environment"]
    assert ours.store.dsn.get_secret_value() == f"postgresql://{postgres['POSTGRES_USER']}@postgres:5432/{postgres['POSTGRES_DB']}"
    assert str(ours.store.password_file) == postgres["POSTGRES_PASSWORD_FILE"] == SECRET
    assert ours.api.listen == ":8080"
    assert seconds(REPLICATED[name]["stop_grace_period"]) >= ours.limits.stop_deadline + 5


def test_the_trial_has_tables_of_its_own() -> None:
    """The tasks of the trial never mix with those of the service."""
    assert settings("trial").store.schema_name != settings("watcher").store.schema_name


def test_everybody_who_needs_the_password_gets_the_file() -> None:
    """PostgreSQL and the replicas get the secret under its path; it is a file, because others cannot be mounted into a read-only root."""
    assert {name for name, service in SERVICES.items() if service.get("secrets")} == {"postgres", *REPLICATED}
    (name,) = {name for service in SERVICES.values() for name in service.get("secrets", ())}
    assert set(COMPOSE["secrets"]) == {name}
    assert f"/run/secrets/{name}" == SECRET
    assert set(COMPOSE["secrets"][name]) == {"file"}
    assert "configs" not in COMPOSE
    assert "config/deploy/postgres-password\n" in (ROOT / ".gitignore").read_text()


def test_the_database_is_kept_and_awaited() -> None:
    """PostgreSQL has a major version and a volume, and nobody starts before it accepts connections; the simulator is awaited too."""
    postgres = SERVICES["postgres"]
    assert re.fullmatch(r"postgres:\d+", postgres["image"])
    (volume,) = postgres["volumes"]
    assert volume.split(":") == ["postgres-data", "/var/lib/postgresql/data"]
    assert "postgres-data" in COMPOSE["volumes"]
    assert "ports" not in postgres
    for service in REPLICATED.values():
        assert all(each == {"condition": "service_healthy"} for each in service["depends_on"].values())
        assert "healthcheck" not in service, "the image has one"
        assert "postgres" in service["depends_on"]
    assert "HEALTHCHECK" in DOCKERFILE
    assert set(SERVICES["trial"]["depends_on"]) == {"postgres", "simulator"}
    assert all("healthcheck" in SERVICES[name] for name in ("postgres", "simulator"))


def test_the_simulator_is_where_the_trial_calls() -> None:
    """The arguments of the simulator parse, and its port is that of the endpoint and of its health check."""
    arguments = SERVICES["simulator"]["command"]
    assert command(arguments).name == "simulate"
    port = arguments[arguments.index("--port") + 1]
    assert SERVICES["trial"]["environment"]["AWS_ENDPOINT_URL_CHIME_SDK_VOICE"] == f"http://simulator:{port}"
    assert f"('127.0.0.1', {port})" in SERVICES["simulator"]["healthcheck"]["test"][-1]
    assert arguments[arguments.index("--host") + 1] == "0.0.0.0"


def test_the_tasks_of_the_trial_are_references() -> None:
    """The file that the configuration of the trial reads is mounted, and each line of it names a task of its own."""
    (path,) = (source.path for source in settings("trial").sources)
    mounted = dict(reversed(volume.split(":")[:2]) for volume in SERVICES["trial"]["volumes"])
    lines = [line for line in (DEPLOY / mounted[path]).read_text().splitlines() if not line.startswith("#")]
    assert len({parse_ref(line, builtin_catalog()).key for line in lines}) == len(lines) > 40


@pytest.mark.parametrize("name", SERVICES)
def test_ports_are_open_on_loopback_only(name: str) -> None:
    """No service can be reached from another machine."""
    assert all(port.startswith("127.0.0.1:") for port in SERVICES[name].get("ports", ()))


@pytest.mark.parametrize("name", MONITORING)
def test_monitoring_has_no_privileges_and_a_version(name: str) -> None:
    """Prometheus and Grafana have no capabilities, and images whose version is fixed."""
    service = MONITORING[name]
    assert (service["cap_drop"], service["security_opt"]) == (["ALL"], ["no-new-privileges:true"])
    assert re.fullmatch(r"[\w/-]+:v?\d+\.\d+\.\d+", service["image"])


def test_prometheus_scrapes_each_replica() -> None:
    """Prometheus looks up each replicated service by its name, on the port that the image exposes, and loads the alerts that ship."""
    jobs = {job["job_name"]: job["dns_sd_configs"] for job in load_yaml((DEPLOY / "prometheus.yaml").read_text())["scrape_configs"]}
    assert set(jobs) == set(REPLICATED)
    for name, (lookup,) in jobs.items():
        assert (lookup["names"], lookup["type"]) == ([name], "A")
        assert f"EXPOSE {lookup['port']}" in DOCKERFILE
    mounted = mounts("prometheus")
    assert mounted["/etc/prometheus/alerts.yaml"] == DEPLOY / "alerts.yaml"
    assert mounted["/etc/prometheus/prometheus.yaml"] == DEPLOY / "prometheus.yaml"
    assert "--config.file=/etc/prometheus/prometheus.yaml" in SERVICES["prometheus"]["command"]


@pytest.mark.process
def test_prometheus_accepts_its_configuration() -> None:
    """promtool finds no mistake in the configuration of Prometheus and in the rules that it names."""
    done = completed([program("promtool"), "check", "config", DEPLOY / "prometheus.yaml"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_grafana_shows_the_dashboard_to_viewers_only() -> None:
    """Grafana has the data source, the dashboard as its home page, anonymous viewers, and no account that could change anything."""
    mounted, environment = mounts("grafana"), SERVICES["grafana"]["environment"]
    (source,) = load_yaml(mounted["/etc/grafana/provisioning/datasources/watcher.yaml"].read_text())["datasources"]
    assert source["url"] == f"http://prometheus:{SERVICES['prometheus']['ports'][0].rpartition(':')[2]}"
    assert source["isDefault"] is True
    (provider,) = load_yaml(mounted["/etc/grafana/provisioning/dashboards/watcher.yaml"].read_text())["providers"]
    home = environment["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
    assert home.rpartition("/")[0] == provider["options"]["path"]
    assert mounted[home] == DEPLOY / "grafana-dashboard.json"
    assert environment["GF_AUTH_ANONYMOUS_ORG_ROLE"] == "Viewer"
    assert environment["GF_AUTH_BASIC_ENABLED"] == "false"
    assert environment["GF_SECURITY_DISABLE_INITIAL_ADMIN_CREATION"] == "true"


def test_the_commands_in_the_comments_parse() -> None:
    """The commands of the watcher in the comments of the file have known options."""
    calls = [line.partition("exec watcher ")[2] for line in TEXT.splitlines() if "exec watcher" in line]
    assert [command(call).name for line in calls for call in command_lines(line)] == ["replicas"]
