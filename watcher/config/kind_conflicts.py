"""Finds conflicts between the kinds and targets of a configuration, the shipped kinds, and `events.results`.

The shipped kinds are read only where a configuration has kinds or targets of its own.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from watcher.adapters.aws.settings import TargetSettings
from watcher.config.conflict import Conflict, Sections
from watcher.core.delivery.events import EventSettings
from watcher.kinds.catalog import builtin_catalog
from watcher.kinds.form import KindForm
from watcher.kinds.kind import Kind
from watcher.model import DEFAULT_TARGET
from watcher.yaml_text import KeyPath, dotted


def find_kind_conflicts(sections: Sections) -> Iterator[Conflict]:
    """Yield each kind and each target that cannot be used beside the others."""
    forms = {path: section for path, section in sections.items() if isinstance(section, KindForm)}
    targets = {path: section for path, section in sections.items() if isinstance(section, TargetSettings)}
    if not forms and not targets:
        return
    yield from _check_kind_names(forms)
    yield from _check_quotas(forms)
    yield from _check_target_names(targets, forms)
    events = sections.get(("events",))
    if isinstance(events, EventSettings):
        yield from _check_private(forms, events)


def _check_kind_names(forms: Mapping[KeyPath, KindForm]) -> Iterator[Conflict]:
    for path, form in forms.items():
        if form.name in builtin_catalog():
            yield Conflict((*path, "name"), (), f'"{form.name}" is a kind that ships with the watcher; choose another name')
        elif form.name == DEFAULT_TARGET:
            what = f'"{DEFAULT_TARGET}" is the name of the target without settings, and keys begin with both; choose another name'
            yield Conflict((*path, "name"), (), what)


def _check_quotas(forms: Mapping[KeyPath, KindForm]) -> Iterator[Conflict]:
    """Kinds that share a quota share a pace, so they must call the same service under the same title."""
    first: dict[str, tuple[str, Kind]] = {}
    for shipped in builtin_catalog():
        first.setdefault(shipped.quota.name, (f"the shipped kind {shipped.name}", shipped))
    for path, form in forms.items():
        if form.name in builtin_catalog():
            continue  # its name is the mistake
        kind = form.kind()
        who, other = first.setdefault(kind.quota.name, (dotted(path), kind))
        if (other.quota, other.service) == (kind.quota, kind.service):
            continue
        if other.service != kind.service:
            what = f'{who} has the quota "{kind.quota.name}" for the service {other.service}; choose another quota.name'
        else:
            what = f'{who} has the quota "{kind.quota.name}" with the title "{other.quota.title}"; use this title, or another quota.name'
        yield Conflict((*path, "quota"), (), what)


def _check_target_names(targets: Mapping[KeyPath, TargetSettings], forms: Mapping[KeyPath, KindForm]) -> Iterator[Conflict]:
    """The key of a task begins with its target or with its kind, so no name may be both."""
    own = {form.name: path for path, form in forms.items()}
    for path, target in targets.items():
        if target.name in builtin_catalog():
            what = f'"{target.name}" is a kind that ships with the watcher, and keys begin with both; choose another name'
            yield Conflict((*path, "name"), (), what)
        elif other := own.get(target.name):
            what = f'{dotted(other)} is a kind of the name "{target.name}", and keys begin with both; choose another name'
            yield Conflict((*path, "name"), ((*other, "name"),), what)


def _check_private(forms: Mapping[KeyPath, KindForm], events: EventSettings) -> Iterator[Conflict]:
    """Only the kind says what `hashed` and `count` must hide. Without that they would hide everything, or nothing."""
    if events.results not in ("hashed", "count"):
        return
    for path, form in forms.items():
        if form.result is not None and form.private is None:
            what = (
                f"required because events.results is {events.results}; list the paths in the result that identify people,"
                " as in [matches[*].id], or write [] if there are none; or set events.results to full or none"
            )
            yield Conflict((*path, "private"), (("events", "results"),), what)
