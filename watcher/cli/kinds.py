"""`watcher kinds`: lists and shows the kinds that can be watched, and writes a new one from a waiter of botocore."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from watcher.cli.command_table import CommandGroup
from watcher.cli.kind_catalog import catalog_for, shipped_names
from watcher.cli.options import Server, config_option, json_option
from watcher.cli.server_access import ServerAccess
from watcher.cli.store_access import print_json
from watcher.cli.tables import table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from watcher.kinds.api_model import ServiceApi

CONFIG_HELP = "Include the kinds of this configuration."


@click.group(cls=CommandGroup)
def kinds() -> None:
    """List, show, and write kinds of tasks."""


@kinds.command("list")
@config_option(CONFIG_HELP, required=False, server=True)
@json_option()
def list_kinds(config: Path | None, server: Server | None, as_json: bool) -> None:
    """List the kinds of tasks that can be watched.

    For each kind: the AWS service, how many tasks one call can read, and the
    call. Kinds of the configuration are marked (own). With --json, also the
    parameters, and the statuses with their classes. With --url, the kinds are
    those of the watcher.

    \b
    Examples:
      watcher kinds list
      watcher kinds list watcher.yaml --json
      watcher kinds list --url https://watcher.example.com
    """
    found = _summaries(config, server)
    if as_json:
        print_json(found)
        return
    table(("KIND", "SERVICE", "TASKS/CALL", "CALL"), [_row(summary) for summary in found], own_line="CALL")


def _summaries(config: Path | None, server: Server | None) -> Sequence[dict[str, Any]]:
    if server is not None:
        return ServerAccess(server).kinds.summaries
    from watcher.kinds.summary import kind_summary

    return [kind_summary(kind) for kind in catalog_for(config)]


def _row(summary: dict[str, Any]) -> tuple[str, ...]:
    name = f"{summary['kind']} (own)" if summary["own"] else summary["kind"]
    return str(name), str(summary["service"]), str(summary["batch_size"]), str(summary["operation"])


@kinds.command("show")
@click.argument("name", metavar="KIND")
@config_option(CONFIG_HELP, required=False)
def show_kind(name: str, config: Path | None) -> None:
    """Print the declaration of a kind as YAML.

    For a shipped kind, the comments are included. To change a shipped kind,
    paste it below kinds in a configuration, under another name.

    \b
    Example:
      watcher kinds show speaker-search
    """
    from watcher.kinds.api_model import nearest

    catalog = catalog_for(config)
    if name not in catalog:
        raise click.BadParameter(f"the kind {name} is unknown; {nearest(name, catalog.kinds, most=50)}", param_hint="KIND")
    click.echo(_shipped_text(name) if name in shipped_names() else _own_text(name, config), nl=False)


def _shipped_text(name: str) -> str:
    """The file of a shipped kind."""
    from watcher.kinds.catalog import builtin_texts
    from watcher.kinds.kind_files import read_forms

    return next(text for file, text in builtin_texts().items() if read_forms({file: text})[0].name == name)


def _own_text(name: str, config: Path | None) -> str:
    """The declaration of a kind of the configuration: what it sets, without defaults."""
    from watcher.config import read_sections
    from watcher.yaml_text.writer import write_yaml

    forms = () if config is None else read_sections(config, os.environ, ("kinds",)).kinds
    (form,) = [form for form in forms if form.name == name]
    return write_yaml(form.model_dump(mode="json", exclude_unset=True))


@kinds.command("from-waiter")
@click.argument("service", metavar="SERVICE")
@click.argument("waiter", metavar="[WAITER]", required=False)
@click.option("--name", metavar="NAME", help="The name of the kind.  [default: from the service and the call]")
def from_waiter(service: str, waiter: str | None, name: str | None) -> None:
    """Write a kind from one of botocore's waiters.

    Prints an entry to paste below kinds in a configuration, for the tasks that
    the waiter of an AWS service waits for. Without WAITER, lists the waiters of
    the service. Parameters, times, and texts are guesses from the names in the
    API model: read each comment that begins with "check". Replace FIRST_STATUS,
    which stands for a status that the API model does not list. Then run watcher
    config check, which compares the kind with the API model.

    A waiter that looks only at HTTP statuses or error codes cannot become a
    kind (exit code 64). Makes no calls.

    \b
    Examples:
      watcher kinds from-waiter sagemaker
      watcher kinds from-waiter sagemaker TrainingJobCompletedOrStopped
    """
    from watcher.adapters.aws.service_models import ServiceModels
    from watcher.kinds.api_model import nearest
    from watcher.kinds.from_waiter import default_name, kind_from_waiter
    from watcher.kinds.waiter_status import UnusableWaiter

    apis = ServiceModels()
    if service not in apis.services:
        raise click.BadParameter(f"botocore has no service {service}; {nearest(service, apis.services)}", param_hint="SERVICE")
    api = apis.service(service)
    if waiter is None and api.waiters:
        click.echo("\n".join(sorted(api.waiters)))
        return
    if waiter is None or waiter not in api.waiters:
        raise click.BadParameter(_unknown(api, waiter or ""), param_hint="WAITER")
    try:
        text = kind_from_waiter(api, waiter, _free_name(name, default_name(api, waiter)))
    except UnusableWaiter as reason:
        raise click.BadParameter(f"{service} {waiter} cannot become a kind: {reason}", param_hint="WAITER") from None
    click.echo(text, nl=False)


def _unknown(api: ServiceApi, waiter: str) -> str:
    from watcher.kinds.api_model import nearest

    if not api.waiters:
        return f"botocore has no waiters for {api.name}; write the kind by hand: watcher kinds show prints examples"
    hint = nearest(waiter, api.waiters, most=0)
    near = f" {hint}" if hint.startswith("did you mean") else ""
    return f"{api.name} has no waiter {waiter};{near} use one of: {', '.join(sorted(api.waiters))}"


def _free_name(name: str | None, default: str) -> str:
    """The name of the new kind. Raises BadParameter for a name that is not one, or that a shipped kind has."""
    from watcher.section import NAME_PATTERN

    if name is None:
        return f"my-{default}" if default in shipped_names() else default
    if not re.fullmatch(NAME_PATTERN, name):
        raise click.BadParameter("expected 1 to 63 lowercase letters, digits, - and _, the first a letter or a digit", param_hint="--name")
    if name in shipped_names():
        raise click.BadParameter(f"{name} is a kind that ships with the watcher; choose another name", param_hint="--name")
    return name
