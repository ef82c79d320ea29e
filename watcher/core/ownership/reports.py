"""The text form of a replica's report. During an update, replicas of two versions read the reports of each other."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from watcher.model import QuotaUse, Report


def dump(report: Report) -> str:
    """The report as JSON."""
    return json.dumps(asdict(report), separators=(",", ":"))


def read(text: str | None) -> Report:
    """The report in this text. What is missing or unknown, as in the report of another version, is left out; never raises."""
    try:
        found = json.loads(text or "{}")
        quotas = {str(name): _read_use(use) for name, use in found.get("quotas", {}).items()}
        return Report(str(found.get("version", "")), int(found.get("adopted", 0)), quotas)
    except (ValueError, TypeError, AttributeError, KeyError, OverflowError, RecursionError):
        return Report()


def _read_use(use: Mapping[str, Any]) -> QuotaUse:
    return QuotaUse(float(use["rate"]), int(use["watches"]), float(use.get("lateness_s", 0.0)), max(1, int(use.get("sharers", 1))))
