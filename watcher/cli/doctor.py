"""`watcher doctor`: checks everything that a configuration needs, and says how to correct what fails."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.exceptions import Exit

from watcher.cli import exit_codes
from watcher.cli.options import config_option, json_option
from watcher.cli.store_access import print_json
from watcher.cli.tables import printable, sentence, table

if TYPE_CHECKING:
    from watcher.cli.check_result import Finding
    from watcher.config import Settings
    from watcher.kinds.catalog import Catalog


@click.command()
@config_option("The configuration file to check.")
@json_option()
@click.option("--kind", "kinds", multiple=True, metavar="KIND", help="Check calls about this kind, watched or not. Repeatable.")
def doctor(config: Path, as_json: bool, kinds: Sequence[str]) -> None:
    """Check everything that a configuration needs.

    Checks, all at once and within about ten seconds: the configuration; the
    Region; the credentials; the clock; the calls about tasks, with a task that
    cannot exist, for each kind in use and in each target of the configuration,
    with the credentials of the target; each source and sink; the store; the
    space on its disk; the port of the HTTP API, and whether the watcher that
    runs there is ready.

    The kinds in use are those in the configuration and those with open watches
    in the store; with --kind, those in the configuration and the named ones.
    A source takes tasks of any kind, so before the first start nothing else
    shows which kinds you watch: name them with --kind. If there are none, the
    voice API is checked, and the result says so.

    Says how to correct what fails. Changes nothing, prints no secrets, and can
    run while the watcher runs. Exit code 0: all checks passed; 69: something is
    unavailable; 78: the configuration is wrong.

    \b
    Examples:
      watcher doctor watcher.yaml
      watcher doctor watcher.yaml --kind speaker-search --kind batch-job
    """
    from watcher.cli.checks import check_config
    from watcher.cli.event_loop import run

    settings, findings = check_config(config, os.environ)
    if settings is not None:
        findings += run(partial(_run_checks, settings, _catalog(settings, kinds), kinds))
    code = _exit_code(findings)
    if as_json:
        print_json({"ok": code == exit_codes.OK, "checks": [asdict(finding) for finding in findings]})
    else:
        _print(findings)
    raise Exit(code)


def _catalog(settings: Settings, kinds: Sequence[str]) -> Catalog:
    """The catalog of a configuration. Raises UsageError for a kind that is not in it."""
    from watcher.config import catalog_of

    catalog = catalog_of(settings)
    for name in kinds:
        if name not in catalog:
            raise click.UsageError(f"no kind is named {name!r}; use one of: {', '.join(catalog.kinds)}")
    return catalog


async def _run_checks(settings: Settings, catalog: Catalog, kinds: Sequence[str]) -> list[Finding]:
    from watcher.adapters.aws.session import AwsClients
    from watcher.cli.check_result import CALL_S
    from watcher.cli.checks import run_checks
    from watcher.registry import AdapterContext

    aws = AwsClients(call_deadline=CALL_S, catalog=catalog)
    try:
        return await run_checks(settings, catalog, AdapterContext(aws, time.time), kinds)
    finally:
        await aws.close()


def _print(findings: Sequence[Finding]) -> None:
    table(("CHECK", "RESULT", "SEEN"), [(finding.check, finding.state, finding.seen) for finding in findings])
    failed = [finding for finding in findings if finding.state == "failed"]
    if failed:
        click.echo("\nTo do")
    for hint in dict.fromkeys(finding.hint for finding in failed):
        checks = dict.fromkeys(finding.check for finding in failed if finding.hint == hint)
        sentence(printable(f"  {', '.join(checks)}: {hint}"))


def _exit_code(findings: Sequence[Finding]) -> int:
    """CONFIG before UNAVAILABLE: correcting the configuration may make the rest available."""
    codes = {finding.code for finding in findings}
    return exit_codes.CONFIG if exit_codes.CONFIG in codes else max(codes, default=exit_codes.OK)
