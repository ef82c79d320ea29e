"""Checks custom resources against models made from their definitions. Runs in the environment of requirements/checks.lock.

The models ignore fields that they do not know. So what a model has read is written again and compared: a field that is lost is an error.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import yaml
from cloudcoil.models.keda.v1alpha1 import ScaledObject
from cloudcoil.models.prometheus_operator.v1 import PodMonitor, PrometheusRule

MODELS = {model.__name__: model for model in (PodMonitor, PrometheusRule, ScaledObject)}


def lost(given: Any, read: Any, at: str = "") -> list[str]:
    """Return the paths of the fields in `given` that `read` does not have."""
    if isinstance(given, dict) and isinstance(read, dict):
        return [path for key, value in given.items() for path in lost(value, read.get(key), f"{at}.{key}")]
    if isinstance(given, list) and isinstance(read, list) and len(given) == len(read):
        return [path for index, pair in enumerate(zip(given, read, strict=True)) for path in lost(*pair, f"{at}[{index}]")]
    return [] if given == read else [at]


def main(files: list[str]) -> None:
    """Exit with a message for the first resource that does not fit its definition."""
    for file in files:
        for resource in yaml.safe_load_all(Path(file).read_text()):
            read = MODELS[resource["kind"]].model_validate(resource).model_dump(mode="json", by_alias=True, exclude_unset=True)
            if paths := lost(resource, read):
                sys.exit(f"{file}: {resource['kind']} {resource['metadata']['name']}: unknown or changed fields: {', '.join(paths)}")
            print(f"{file} passed for {resource['kind'].lower()}/{resource['metadata']['name']}")


if __name__ == "__main__":
    main(sys.argv[1:])
