"""Retries calls until they succeed: those to sources and sinks, and for `retrying_store` those to the store. Built on tenacity."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

import anyio
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception, wait_random_exponential

from watcher.core.hints import hint, in_words
from watcher.errors import RemoteError
from watcher.runtime.health import Health

T = TypeVar("T")

MAX_RETRY_AFTER_S = 300.0
"""The longest wait that a remote side can request, in seconds."""

_jitter = wait_random_exponential(multiplier=1, max=60)


def backoff(attempt: int, error: RemoteError | None = None) -> float:
    """Seconds until the next attempt: what the remote side requested, from 1 s to 5 min, else full jitter up to 60 s.

    A requested wait of zero, or a date in the past, counts as no request: retrying at once forever would be a hot loop.
    """
    if error is not None and error.retry_after:
        return min(MAX_RETRY_AFTER_S, max(1.0, error.retry_after))
    return max(0.05, wait_after(attempt, _jitter))


def wait_after(attempt: int, wait: Callable[[RetryCallState], float]) -> float:
    """Seconds that this strategy of tenacity waits after an attempt."""
    state = RetryCallState(retry_object=_UNUSED, fn=None, args=(), kwargs={})
    state.attempt_number = max(1, attempt)
    return wait(state)


async def until_accepted(
    component: str, health: Health, call: Callable[[], Awaitable[T]], *, unless: tuple[type[RemoteError], ...] = ()
) -> T:
    """Call until no RemoteError is raised. Gives up only for the errors in `unless`.

    Reports each failure in `health`. The caller reports success, because it sees what came back.
    """
    try:
        return await call()  # nearly always the only attempt; the retry machinery costs more than the rest
    except RemoteError as error:
        if isinstance(error, unless):
            raise
        return await _until_accepted(component, health, call, unless, error)


async def _until_accepted(
    component: str, health: Health, call: Callable[[], Awaitable[T]], unless: tuple[type[RemoteError], ...], first: RemoteError
) -> T:
    def wait(state: RetryCallState) -> float:
        error = _error(state)
        return backoff(state.attempt_number, error if isinstance(error, RemoteError) else None)

    def report(error: BaseException | None) -> None:
        if isinstance(error, RemoteError):
            report_failure(component, health, error)

    def again(error: BaseException) -> bool:
        return isinstance(error, RemoteError) and not isinstance(error, unless)

    result, _ = await until_success(call, again, wait, report, first)
    return result


async def until_success(
    call: Callable[[], Awaitable[T]],
    again: Callable[[BaseException], bool],
    wait: Callable[[RetryCallState], float],
    report: Callable[[BaseException | None], None],
    first: Exception | None,
) -> tuple[T, int]:
    """Call until no error is raised for which to try `again`. Returns the result, and the number of attempts.

    `first` is the error of an attempt before this call, which counts as the first one. `report` gets each such error.
    """
    retrying = AsyncRetrying(
        retry=retry_if_exception(again),
        wait=wait,
        before_sleep=lambda state: report(_error(state)),
        sleep=anyio.sleep,
        reraise=True,
    )
    async for attempt in retrying:
        with attempt:
            failed, first = first, None
            if failed is not None:
                raise failed
            result = await call()
    return result, attempt.retry_state.attempt_number


async def call_source(name: str, health: Health, call: Callable[[], Awaitable[T]]) -> T:
    """Call a source until it answers, and report its health."""
    result = await until_accepted(f"source:{name}", health, call)
    health.good(f"source:{name}")
    return result


def report_failure(component: str, health: Health, error: RemoteError) -> None:
    """Mark this component as unhealthy, with the reason and what to do about it. Each failure must be reported, until one succeeds."""
    health.bad(component, f"{error.reason}: {in_words(error.code)}", hint(error), repeated=True)


def _error(state: RetryCallState) -> BaseException | None:
    return state.outcome.exception() if state.outcome is not None else None


_UNUSED = AsyncRetrying()
