"""Fetches the credentials of a session through the SDK, with named errors, and ends helper processes that hang.

A `credential_process` is a program of the user. The SDK waits for it without limit, and leaves it running when the call
that waited is cancelled. Here it is killed with all its children when it takes too long, or when the call that waits for it
is cancelled. This module does not retry and does not log.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import anyio
from aiobotocore.credentials import AioProcessProvider, AioProfileProviderBuilder
from botocore.exceptions import CredentialRetrievalError

from watcher.adapters.aws.errors import setup_error
from watcher.errors import CredentialsRejected

PROCESS = AioProcessProvider.METHOD
"""The SDK's name for the provider that runs a `credential_process`."""
REAP_S = 1.0
"""Seconds to wait for the end of a killed process. It takes longer only if the kernel cannot end the process."""

Spawn = Callable[..., Awaitable["_Helper"]]


class CheckedResolver:
    """The SDK's chain of credential providers for a session. Register it as the component `credential_provider`.

    `helper_deadline` limits a `credential_process`, in seconds.
    """

    def __init__(self, session: Any, helper_deadline: float) -> None:
        self._session = session
        self._helper_deadline = helper_deadline

    async def load_credentials(self) -> CheckedCredentials | None:
        """The first credentials of the chain, None if there are none."""
        found = await self._chain().load_credentials()
        return None if found is None else CheckedCredentials(found)

    def _chain(self) -> Any:
        """The chain as the session itself would create it, but with limited helpers, also for the source of an assumed role."""
        chain = self._session._create_credential_resolver()
        builder = _Builder(self._session, self._spawn)
        profile = self._session.get_config_variable("profile") or "default"
        chain.insert_after(PROCESS, builder._create_process_provider(profile))
        chain.remove(PROCESS)  # the first one of this name, which is the SDK's
        for provider in chain.providers:
            if hasattr(provider, "_profile_provider_builder"):
                provider._profile_provider_builder = builder
        return chain

    async def _spawn(self, *command: str, **options: Any) -> _Helper:
        # on a terminal a helper may ask for a code, which it can do only in the session of the terminal
        alone = not sys.stdin.isatty() if sys.stdin is not None else True
        starting = asyncio.ensure_future(asyncio.create_subprocess_exec(*command, start_new_session=alone, **options))
        try:
            process = await asyncio.shield(starting)
        except asyncio.CancelledError:  # the process may run already, and may have children
            with anyio.move_on_after(REAP_S, shield=True):
                await _Helper(await starting, 0.0, alone=alone).kill()
            raise
        return _Helper(process, self._helper_deadline, alone=alone)


class CheckedCredentials:
    """Credentials of the SDK. Raises only a `RemoteError` when they cannot be fetched or used."""

    def __init__(self, source: Any) -> None:
        self._source = source

    def __getattr__(self, name: str) -> Any:
        return getattr(self._source, name)

    async def get_frozen_credentials(self) -> Any:
        """The credentials of this moment, fetched again if they expire soon. Raises CredentialsRejected or Unavailable."""
        try:
            frozen = await self._source.get_frozen_credentials()
        except RuntimeError:  # the only cause of a plain RuntimeError in the SDK's credentials
            raise CredentialsRejected(
                "ExpiredCredentials", "credentials that were just fetched have expired", expired=True, unsent=True
            ) from None
        except Exception as error:  # noqa: BLE001 - credential providers raise exceptions of many kinds
            raise setup_error(error) from None
        for name in ("access_key", "secret_key", "token"):
            if not _fits_a_header(getattr(frozen, name, None)):
                raise CredentialsRejected("IllegalCharacter", f"{name} contains a character that credentials cannot contain", unsent=True)
        return frozen


def _fits_a_header(value: str | None) -> bool:
    return value is None or (value.isascii() and value.isprintable() and " " not in value)


class _Builder(AioProfileProviderBuilder):  # type: ignore[misc]  # aiobotocore ships no types
    """Creates the providers of a profile."""

    def __init__(self, session: Any, spawn: Spawn) -> None:
        super().__init__(session)
        self._spawn = spawn

    def _create_process_provider(self, profile_name: str) -> AioProcessProvider:
        return AioProcessProvider(profile_name=profile_name, load_config=lambda: self._session.full_config, popen=self._spawn)


class _Helper:
    """A running `credential_process`: the members of `asyncio.subprocess.Process` that the SDK uses."""

    def __init__(self, process: asyncio.subprocess.Process, deadline: float, *, alone: bool) -> None:
        self._process = process
        self._deadline = deadline
        self._alone = alone
        """Whether it leads a session of its own, in which all its children are."""

    @property
    def returncode(self) -> int | None:
        """Its exit code, None while it runs."""
        return self._process.returncode

    async def communicate(self) -> tuple[bytes, bytes]:
        """Wait for its output. Raises CredentialRetrievalError at the deadline. When this raises, the process is dead."""
        try:
            async with asyncio.timeout(self._deadline):
                return await self._process.communicate()
        except TimeoutError:
            await self.kill()
            raise CredentialRetrievalError(provider=PROCESS, error_msg="it did not end in time") from None
        except BaseException:
            await self.kill()
            raise

    async def kill(self) -> None:
        """Kill it and its children, and wait until it is dead."""
        with suppress(ProcessLookupError, PermissionError):
            if self._alone:
                os.killpg(self._process.pid, signal.SIGKILL)
            elif self._process.returncode is None:
                self._process.kill()
        with anyio.move_on_after(REAP_S, shield=True):
            await self._process.wait()
