"""How everything that may fail for a while is tried again. Built on tenacity; the only module that waits out trouble."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

import anyio
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception, retry_if_exception_type, wait_random_exponential

from watcher.core.hints import hint
from watcher.errors import RemoteError, StoreUnavailable
from watcher.runtime.health import Health

T = TypeVar("T")

MAX_RETRY_AFTER_S = 300.0
"""As long as we let another side tell us to wait."""

_jitter = wait_random_exponential(multiplier=1, max=60)


def backoff(attempt: int, error: RemoteError | None = None) -> float:
    """Seconds until the next attempt: what the other side asked for, a second to 5 min, else full jitter up to 60 s.

    Asked for no wait at all, also by a date that has passed, it is ours to choose: for ever at once would be a hot loop.
    """
    if error is not None and error.retry_after:
        return min(MAX_RETRY_AFTER_S, max(1.0, error.retry_after))
    state = RetryCallState(retry_object=_NOTHING, fn=None, args=(), kwargs={})
    state.attempt_number = max(1, attempt)
    return max(0.05, _jitter(state))


async def until_taken(component: str, health: Health, call: Callable[[], Awaitable[T]], *, unless: tuple[type[RemoteError], ...] = ()) -> T:
    """Call until it raises no RemoteError. Never gives up, but for errors named in `unless`.

    Says in `health` when it fails; that it is well again is for the caller to say, who sees what came back.
    """

    def waits(state: RetryCallState) -> float:
        error = _error(state)
        return backoff(state.attempt_number, error if isinstance(error, RemoteError) else None)

    def tells(state: RetryCallState) -> None:
        error = _error(state)
        if isinstance(error, RemoteError):
            unwell(component, health, error)

    retrying = AsyncRetrying(
        retry=retry_if_exception(lambda error: isinstance(error, RemoteError) and not isinstance(error, unless)),
        wait=waits,
        before_sleep=tells,
        sleep=anyio.sleep,
        reraise=True,
    )
    async for attempt in retrying:
        with attempt:
            result = await call()
    return result


def unwell(component: str, health: Health, error: RemoteError) -> None:
    """Say that this component fails, and what to do about it."""
    health.bad(component, f"{error.reason}: {error.code}", hint(error))


async def until_stored(health: Health, call: Callable[[], Awaitable[T]]) -> T:
    """Call until the store takes it. A store that refuses for good raises: better to crash than to go on.

    Only a call that failed can say that the store is well again: on a full disk every read still works.
    """
    try:
        result = await call()  # nearly always this is all, and what follows costs more than a commit
    except StoreUnavailable as error:
        return await _stored_at_last(health, call, error)
    if health.is_good("store"):
        health.good("store")
    return result


async def _stored_at_last(health: Health, call: Callable[[], Awaitable[T]], first: StoreUnavailable | None) -> T:
    """Where the first try failed: that counts as one."""
    retrying = AsyncRetrying(
        retry=retry_if_exception_type(StoreUnavailable),
        wait=wait_random_exponential(multiplier=0.2, max=5),
        before_sleep=lambda state: _store_fails(health, _error(state)),
        sleep=anyio.sleep,
        reraise=True,
    )
    async for attempt in retrying:
        with attempt:
            failed, first = first, None
            if failed is not None:
                raise failed
            result = await call()
    health.good("store")
    return result


def _store_fails(health: Health, error: BaseException | None) -> None:
    health.bad("store", str(error), "free some disk, or mend what the store says; nothing new is taken in meanwhile")


def _error(state: RetryCallState) -> BaseException | None:
    return state.outcome.exception() if state.outcome is not None else None


_NOTHING = AsyncRetrying()
