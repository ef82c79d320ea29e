"""The event loop that the commands run on, and the signals that end it."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import TypeVar

from click.exceptions import Exit

from watcher.cli.stop_signals import StopSignals

T = TypeVar("T")

CANCEL_S = 5.0
"""How long a command that a signal cancelled may take to end, in seconds."""
AFTER_DEADLINE_S = 2.0
"""How long after its stop deadline a service that has not ended is ended by force, in seconds."""


_SDK_CREDENTIALS = "aiobotocore.credentials"
"""The logger of the SDK that writes a traceback about each failure to fetch credentials. The failure is raised too, so the command
reports it. Where the command set up logging, that decides about these lines."""
_DISCARD = logging.NullHandler()


def loop_options() -> dict[str, bool]:
    """Return the options for `anyio.run`: uvloop where it is installed, which is the same loop, but faster."""
    try:
        import uvloop  # noqa: F401 - only whether it can be imported: it is an extra
    except ImportError:
        return {}
    return {"use_uvloop": True}


def run(work: Callable[[], Awaitable[T]], *, fast: bool = False) -> T:
    """Run the asynchronous part of a command, which SIGINT and SIGTERM cancel. Returns its result. `fast`: with `loop_options`.

    Exits with the code of the signal when one came, also when the command ended at the same moment: the cancellation that
    asyncio makes of SIGINT is lost when a scope inside is cancelled too. An error of the command has priority.
    """
    import anyio

    logging.getLogger(_SDK_CREDENTIALS).addHandler(_DISCARD)
    with StopSignals(CANCEL_S) as signals:
        results = anyio.run(_cancelled_by, signals, work, backend_options=loop_options() if fast else {})
    if signals.received is not None or not results:
        raise Exit(signals.exit_code)
    return results[0]


async def _cancelled_by(signals: StopSignals, work: Callable[[], Awaitable[T]]) -> list[T]:
    import anyio

    results: list[T] = []
    with anyio.CancelScope() as scope:
        signals.attach(scope.cancel)
        results.append(await work())
    return results


def run_stoppable(work: Callable[[StopSignals], Awaitable[T]], stop_deadline_s: float) -> T:
    """Run a command that attaches itself to the signals, and stops within a deadline. Returns its result."""
    import anyio

    with StopSignals(stop_deadline_s + AFTER_DEADLINE_S) as signals:
        return anyio.run(work, signals, backend_options=loop_options())
