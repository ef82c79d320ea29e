"""`watcher doctor`: whether everything a configuration needs is there, and what to do where it is not."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import anyio
import typer

from watcher.adapters.aws.session import AwsClients
from watcher.cli import exit_codes
from watcher.cli.checks import CALL_S, Finding, configuration, everything
from watcher.cli.store_access import Json, print_json
from watcher.cli.tables import printable, table
from watcher.config import Settings
from watcher.registry import AdapterContext


def doctor(
    config: Annotated[Path, typer.Option("--config", metavar="FILE", help="The configuration to look at.")],
    as_json: Json = False,
) -> None:
    """Look at everything that a configuration needs, and say how to mend what fails.

    All at once, within about ten seconds: the configuration; the Region and
    whether it offers the service; the credentials and who they are; the clock;
    the voice API, by asking about a task that cannot exist (not found means
    permitted); each source and sink; the store; the port of the API. Changes
    nothing, shows no secret, and may run beside the watcher. Exit 0: all is
    well; 69: something is out of reach; 78: something is set up wrong.

    Example:

        watcher doctor --config watcher.yaml
    """
    settings, findings = configuration(config, os.environ)
    if settings is not None:
        findings += anyio.run(_look, settings)
    code = _code(findings)
    if as_json:
        print_json({"ok": code == exit_codes.OK, "checks": [asdict(finding) for finding in findings]})
    else:
        _tell(findings)
    raise typer.Exit(code)


async def _look(settings: Settings) -> list[Finding]:
    aws = AwsClients(call_deadline=CALL_S)
    try:
        return await everything(settings, AdapterContext(aws, time.time))
    finally:
        await aws.close()


def _tell(findings: Sequence[Finding]) -> None:
    table(("CHECK", "RESULT", "SEEN"), [(finding.check, finding.state, finding.seen) for finding in findings])
    failed = [finding for finding in findings if finding.state == "failed"]
    if failed:
        typer.echo("\nTo do")
    for hint in dict.fromkeys(finding.hint for finding in failed):
        checks = dict.fromkeys(finding.check for finding in failed if finding.hint == hint)
        typer.echo(printable(f"  {', '.join(checks)}: {hint}"))


def _code(findings: Sequence[Finding]) -> int:
    """What is set up wrong goes first: mended, the rest may be well."""
    codes = {finding.code for finding in findings}
    return exit_codes.CONFIG if exit_codes.CONFIG in codes else max(codes, default=exit_codes.OK)
