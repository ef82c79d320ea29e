"""Writes the alerts as a PrometheusRule: Kustomize cannot take them from a file outside of its directory."""

from __future__ import annotations

from tests.deploy.kustomize import KUBERNETES

ALERTS = KUBERNETES.parent / "alerts.yaml"
COPY = KUBERNETES / "monitoring" / "prometheusrule.yaml"


def copied() -> str:
    """What the copy must be: its present head, and the alerts below `spec`."""
    head = COPY.read_text().partition("spec:\n")[0]
    alerts = [line for line in ALERTS.read_text().splitlines() if not line.startswith("#")]
    return f"{head}spec:\n" + "".join(f"  {line}\n" for line in alerts)


if __name__ == "__main__":
    COPY.write_text(copied())
