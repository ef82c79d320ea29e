"""Compares the kinds of a configuration with the models of their APIs. Loads the models of the services that the kinds name.

Costs nothing without kinds in the configuration.
"""

from __future__ import annotations

from collections.abc import Iterator

from watcher.config.conflict import Sections
from watcher.kinds.form import KindForm
from watcher.yaml_text import KeyPath


def check_apis(sections: Sections) -> Iterator[tuple[KeyPath, str]]:
    """Yield the key of each mistake, and what is wrong with it."""
    forms = {path: section for path, section in sections.items() if isinstance(section, KindForm)}
    if not forms:
        return
    from watcher.adapters.aws.service_models import ServiceModels  # with botocore, which no other check needs
    from watcher.kinds.api_check import check_kind

    apis = ServiceModels()
    for path, form in forms.items():
        yield from (((*path, *key), what) for key, what in check_kind(form, apis))


def is_about_statuses(path: KeyPath) -> bool:
    """Whether a mistake of `check_apis` is a difference between statuses, with which the kind can still be polled."""
    return path[0] == "kinds" and path[2:3] == ("statuses",)
