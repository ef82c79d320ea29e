"""Sets up logging: one line per log event on stderr, from our code and from libraries, redacted as the last step.

Modules write `log = structlog.get_logger("watcher.polling")` and `log.warning("intake_paused", reason=..., hint="...")`:
the name of the event, facts, and, for a problem, a `hint` that says what to do. Each event has a sentence in `log_messages.py`.
Only this module configures the logging of the process.
"""

from __future__ import annotations

import logging
import re
import shlex
import sys
from collections.abc import MutableMapping
from pathlib import Path
from typing import Any, TextIO

import structlog
from structlog.types import Processor

from watcher.core.trace_context import trace_id
from watcher.observe.log_messages import add_message
from watcher.observe.redaction import redact
from watcher.observe.settings import LogSettings

_LIBRARIES = (
    "aioboto3",
    "aiobotocore",
    "aiohttp",
    "asyncio",
    "boto3",
    "botocore",
    "httpcore",
    "httpx",
    "opentelemetry",
    "urllib3",
    "uvicorn",
)
"""Libraries whose warnings and errors only are logged."""
_SILENT_LIBRARIES = ("opentelemetry.exporter", "opentelemetry.sdk._shared_internal", "psycopg")
"""Libraries that log errors that they also raise, and libraries that log each failed export of spans, which `span_export.py` reports."""
_CREDENTIALS = "aiobotocore.credentials"
"""The logger that warns, with a traceback, of each failure to renew credentials."""
_COMMAND = re.compile(r"\bwatcher (?:run|doctor|tasks|explain|forget|submit|dead-letters [a-z]+|config (?:check|show))\b")
"""A command of ours that takes `--config`, as hints write it."""


class _Handler(logging.StreamHandler[TextIO]):
    """A class of our own, so that a second `configure` finds and replaces the handler of the first."""


def configure(settings: LogSettings, stream: TextIO | None = None, *, config: Path | None = None) -> None:
    """Log to `stream` (default: stderr) from now on. A later call replaces the set-up of an earlier one.

    `config` is the configuration file of this process, for the commands in hints.
    """
    out = sys.stderr if stream is None else stream
    level = logging.getLevelNamesMapping()[settings.level.upper()]
    console = out.isatty() if settings.format == "auto" else settings.format == "console"

    handler = _Handler(out)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=_added_facts(), processors=[_Hints(config), *_rendering(console, out.isatty())]
        )
    )
    root = logging.getLogger()
    for old in [known for known in root.handlers if isinstance(known, _Handler)]:
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(level)
    for name in _LIBRARIES:
        logging.getLogger(name).setLevel(max(level, logging.WARNING))
    for name in _SILENT_LIBRARIES:
        logging.getLogger(name).setLevel(logging.CRITICAL)
    logging.getLogger(_CREDENTIALS).addFilter(_is_reported_nowhere_else)

    structlog.configure(
        processors=[structlog.contextvars.merge_contextvars, *_added_facts(), structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,  # loggers that are created during imports would keep an earlier set-up
    )


def _is_reported_nowhere_else(record: logging.LogRecord) -> bool:
    """Whether a warning about credentials is all that is reported. A mandatory renewal that fails is raised, too."""
    record.exc_info = None  # the error has its code in the log of the circuit
    return record.args != ("mandatory",)


def traced(trace: str | None) -> dict[str, str]:
    """Return the facts for a line about a task that has this trace context: `trace_id`, or none."""
    return {} if trace is None else {"trace_id": trace_id(trace)}


def _added_facts() -> list[Processor]:
    """The processors that add logger, level and time to each line."""
    return [
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
    ]


class _Hints:
    """The processor that adds the configuration file to the commands in hints, as an absolute path: a log is read elsewhere."""

    def __init__(self, config: Path | None) -> None:
        self._option = "" if config is None else f" --config {shlex.quote(str(config.absolute()))}"

    def __call__(self, _logger: Any, _method: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        hint = line.get("hint")
        if isinstance(hint, str) and "watcher " in hint:
            line["hint"] = _COMMAND.sub(lambda match: match[0] + self._option, hint)
        return line


def _rendering(console: bool, colors: bool) -> list[Processor]:
    """The processors that write a line: exceptions as text without local variables, then redacted, then rendered."""
    renderers: list[Any]
    if console:
        renderers = [structlog.dev.ConsoleRenderer(colors=colors, exception_formatter=structlog.dev.plain_traceback)]
    else:
        renderers = [add_message, structlog.processors.JSONRenderer()]
    return [structlog.stdlib.ProcessorFormatter.remove_processors_meta, structlog.processors.format_exc_info, redact, *renderers]
