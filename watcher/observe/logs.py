"""Sets up logging: one line per event on stderr, through the same processors whoever wrote it, redacted last.

Modules write `log = structlog.get_logger("watcher.polling")` and `log.warning("polls_throttled", kind=..., hint="...")`:
an event name, facts, and with trouble a `hint` that says what to do. Only this module touches the logging set-up of the process.
"""

from __future__ import annotations

import logging
import sys
from typing import Any, TextIO

import structlog
from structlog.types import Processor

from watcher.observe.redaction import redact
from watcher.observe.settings import LogSettings

_CHATTY = ("aioboto3", "aiobotocore", "aiohttp", "asyncio", "boto3", "botocore", "httpcore", "httpx", "urllib3", "uvicorn")
"""Libraries whose progress is nobody's business; their warnings are."""


class _Handler(logging.StreamHandler[TextIO]):
    """Our own handler, so that a second `configure` finds and replaces it."""


def configure(settings: LogSettings, stream: TextIO | None = None) -> None:
    """Log to `stream` (stderr unless given) from now on. May be called again; the last call counts."""
    out = sys.stderr if stream is None else stream
    level = logging.getLevelNamesMapping()[settings.level.upper()]
    console = out.isatty() if settings.format == "auto" else settings.format == "console"

    handler = _Handler(out)
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(foreign_pre_chain=_told(), processors=_written(console, out.isatty())))
    root = logging.getLogger()
    for old in [known for known in root.handlers if isinstance(known, _Handler)]:
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(level)
    for name in _CHATTY:
        logging.getLogger(name).setLevel(max(level, logging.WARNING))

    structlog.configure(
        processors=[structlog.contextvars.merge_contextvars, *_told(), structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,  # loggers made at import would keep an earlier set-up
    )


def _told() -> list[Processor]:
    """What each line says about itself."""
    return [
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
    ]


def _written(console: bool, colors: bool) -> list[Processor]:
    """How each line is written: exceptions as text without local variables, then redacted, then rendered."""
    renderer: Any
    if console:
        renderer = structlog.dev.ConsoleRenderer(colors=colors, exception_formatter=structlog.dev.plain_traceback)
    else:
        renderer = structlog.processors.JSONRenderer()
    return [structlog.stdlib.ProcessorFormatter.remove_processors_meta, structlog.processors.format_exc_info, redact, renderer]
