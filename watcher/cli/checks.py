"""All checks of `watcher doctor`. They change nothing: they create no file, and open no pipe."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from itertools import product
from pathlib import Path

import anyio

from watcher.adapters.aws.probe import AwsProbe
from watcher.adapters.aws.session import AwsClients
from watcher.adapters.aws.targets import target_clients
from watcher.cli import exit_codes
from watcher.cli.aws_checks import check_identity
from watcher.cli.check_result import Check, Finding, run_check
from watcher.cli.kinds_in_use import kinds_in_use
from watcher.cli.local_checks import check_adapter, check_port, check_store, check_tokens
from watcher.cli.running_watcher import check_ready, is_running_with_api
from watcher.cli.tables import counted
from watcher.cli.target_checks import PolledTargets
from watcher.config import Settings, read
from watcher.errors import ConfigMistakes, RemoteError
from watcher.kinds.catalog import Catalog
from watcher.kinds.kind import Kind
from watcher.model import DEFAULT_TARGET
from watcher.registry import SINKS, SOURCES, AdapterContext

_SERVICES: Mapping[str, str] = {
    "sqs": "sqs",
    "sns": "sns",
    "eventbridge": "events",
    "kinesis": "kinesis",
    "lambda": "lambda",
    "stepfunctions": "stepfunctions",
}
"""The service that each type of adapter calls."""
Checks = Callable[[], Awaitable[list[Finding]]]
"""Runs some checks, which returns a finding for each."""
CONFIG_HINT = "correct these lines; to list all keys: watcher config show --defaults"


def check_config(file: Path, environ: Mapping[str, str]) -> tuple[Settings | None, list[Finding]]:
    """Return the settings, as far as they can be used for further checks, and a finding for each mistake."""
    name = "configuration"
    try:
        settings = read(file, environ, paths=True, apis=True).settings
    except ConfigMistakes as error:
        findings = [Finding(name, "failed", mistake, CONFIG_HINT, exit_codes.CONFIG) for mistake in error.mistakes]
    else:
        seen = f"{file}: {counted(len(settings.sources), 'source')}, {counted(len(settings.sinks), 'sink')}"
        return settings, [Finding(name, "ok", seen)]
    try:
        return read(file, environ).settings, findings  # files are missing, or a kind differs from its API: everything else can be checked
    except ConfigMistakes:
        return None, findings


async def run_checks(settings: Settings, catalog: Catalog, context: AdapterContext, kinds: Collection[str] = ()) -> list[Finding]:
    """Run all checks at once. Returns the findings in the order in which to correct what failed.

    The calls about tasks are checked for the kinds of the configuration, and for those named, or else for those that have open
    watches in the store. If these are none, the default kind is checked, and its failure says how to check others.
    """
    targets = target_clients(settings.targets, context.aws)
    probe = AwsProbe(context.aws, catalog, targets=targets, call_deadline=context.aws.call_deadline, clock=context.clock)
    named = kinds or await kinds_in_use(settings, catalog, context)
    used = list(dict.fromkeys([*named, *(form.name for form in settings.kinds)]))
    polled = PolledTargets(probe, catalog, {DEFAULT_TARGET: context.aws, **targets}, in_use=bool(used))
    checked = [catalog[name] for name in used or [catalog.default.name]]
    try:
        services = {kind.service for kind in checked}
        await _load_sdk(polled.clients.values(), sorted({"sts", *services, *_called_services(settings, services)}))
        return await _run(await _checks(settings, checked, context, polled))
    finally:
        await probe.close()


async def _load_sdk(clients: Iterable[AwsClients], services: Iterable[str]) -> None:
    """Load the SDK before the time of a check begins. On a busy machine it takes seconds, in which no check would see an answer."""
    for each, service in product(clients, services):
        with suppress(RemoteError):  # the check reports it
            await each.load(service)


async def _checks(settings: Settings, kinds: Sequence[Kind], context: AdapterContext, polled: PolledTargets) -> list[Checks]:
    service = kinds[0].service
    running = await is_running_with_api(settings)
    return [
        _one("Region", polled.check_region(context, service, "set AWS_REGION to one of")),
        lambda: check_identity(context, _called_services(settings, {kind.service for kind in kinds})),
        *(_one(polled.name(kind), polled.check(kind), quota=kind.quota.title, kind=kind.name if kind.own else None) for kind in kinds),
        *(_one(name, check, quota=quota) for target in settings.targets for name, check, quota in polled.checks(target, kinds, context)),
        *(_one(f"source {each.name}", check_adapter(each, SOURCES, context)) for each in settings.sources),
        *(_one(f"sink {each.name}", check_adapter(each, SINKS, context)) for each in settings.sinks),
        _one("store", lambda: check_store(settings, context)),
        _one("API port", lambda: check_port(settings, running)),
        *([_one("API tokens", lambda: check_tokens(settings))] if settings.api.listen else ()),
        *([_one("running watcher", lambda: check_ready(str(settings.api.listen)))] if running else ()),
    ]


async def _run(checks: Sequence[Checks]) -> list[Finding]:
    found: dict[int, list[Finding]] = {}

    async def run(index: int) -> None:
        found[index] = await checks[index]()

    async with anyio.create_task_group() as tasks:
        for index in range(len(checks)):
            tasks.start_soon(run, index)
    return [finding for index in sorted(found) for finding in found[index]]


def _called_services(settings: Settings, polled: Collection[str]) -> Collection[str]:
    """The services of AWS that the adapters and the polls of this configuration call; none if an adapter may call others."""
    used = [(table[each.type], each.type) for table, section in ((SOURCES, settings.sources), (SINKS, settings.sinks)) for each in section]
    names = {name for adapter, name in used if "aws" in adapter.takes}
    return {*polled, *(_SERVICES[name] for name in names)} if names <= _SERVICES.keys() else ()


def _one(name: str, check: Check, *, quota: str | None = None, kind: str | None = None) -> Checks:
    async def run() -> list[Finding]:
        return [await run_check(name, check, quota=quota, kind=kind)]

    return run
