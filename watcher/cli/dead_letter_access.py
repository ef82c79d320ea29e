"""Access of `watcher dead-letters` to dead letters: in a store, or through the API of a running watcher."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from click.exceptions import Exit

from watcher.cli import exit_codes
from watcher.cli.options import Server
from watcher.cli.tables import printable, sentence
from watcher.errors import ApiError

if TYPE_CHECKING:
    from watcher.adapters.api_client import WatcherApi
    from watcher.ports import Store
    from watcher.queries.dead_letters import DeadLetterDetails, DeadLetterSummary

PAGE_SIZE = 1000
"""Dead letters that are marked or erased in one transaction."""
SERVER_PAGE_SIZE = 100
"""Dead letters in one request: the watcher looks each one up."""


class DeadLetterAccess(Protocol):
    """The operations that the commands need. An id prefix that matches no dead letter, or several, ends the command with exit code 64."""

    def all(self) -> Sequence[DeadLetterSummary]:
        """All dead letters, the newest first, without their bodies."""
        ...

    def find(self, id_prefix: str) -> DeadLetterDetails:
        """Return the only dead letter whose id begins with this prefix."""
        ...

    def ids(self, id_prefixes: Sequence[str]) -> list[str]:
        """Return the full ids, without duplicates."""
        ...

    def retry(self, ids: Sequence[str]) -> int:
        """Mark these dead letters for a retry. Returns how many were marked."""
        ...

    def purge(self, ids: Sequence[str]) -> int:
        """Erase these dead letters. Returns how many were erased."""
        ...


def access_to(config: Path, server: Server | None) -> DeadLetterAccess:
    """Return the dead letters of a server, or of the store of a configuration."""
    return _StoredDeadLetters(config) if server is None else _DeadLettersOfServer(server)


class _StoredDeadLetters:
    def __init__(self, config: Path) -> None:
        from watcher.cli.store_access import StoreAccess

        self._access = StoreAccess(config)

    def all(self) -> Sequence[DeadLetterSummary]:
        from watcher.queries.dead_letters import all_dead_letters

        return self._access.run(all_dead_letters)

    def find(self, id_prefix: str) -> DeadLetterDetails:
        from watcher.queries.dead_letters import DeadLetterLookupError, find_dead_letter

        try:
            return self._access.run(lambda store: find_dead_letter(store, id_prefix))
        except DeadLetterLookupError as error:
            raise _not_found(str(error)) from None

    def ids(self, id_prefixes: Sequence[str]) -> list[str]:
        from watcher.queries.dead_letters import DeadLetterLookupError, find_ids

        try:
            return self._access.run(lambda store: find_ids(store, id_prefixes))
        except DeadLetterLookupError as error:
            raise _not_found(str(error)) from None

    def retry(self, ids: Sequence[str]) -> int:
        async def mark(store: Store) -> int:
            return await _in_pieces(store.retry, ids)

        return self._access.run(mark)

    def purge(self, ids: Sequence[str]) -> int:
        async def erase(store: Store) -> int:
            return await _in_pieces(store.purge, ids)

        return self._access.run(erase)


class _DeadLettersOfServer:
    def __init__(self, server: Server) -> None:
        from watcher.cli.server_access import ServerAccess

        self._access = ServerAccess(server)

    def all(self) -> Sequence[DeadLetterSummary]:
        from watcher.queries.from_json import dead_letter_from_json

        found = self._access.run(lambda api: api.items("/v1/dead-letters", "dead_letters", {}))
        return [self._access.read(letter, dead_letter_from_json) for letter in found]

    def find(self, id_prefix: str) -> DeadLetterDetails:
        from watcher.queries.from_json import dead_letter_details_from_json

        [found] = self._find([id_prefix])
        return self._access.read(found, dead_letter_details_from_json)

    def ids(self, id_prefixes: Sequence[str]) -> list[str]:
        found = self._find(id_prefixes)
        return list(dict.fromkeys(self._access.read(letter, lambda value: str(value["id"])) for letter in found))

    def retry(self, ids: Sequence[str]) -> int:
        return self._apply("/v1/dead-letters/retry", "marked", ids)

    def purge(self, ids: Sequence[str]) -> int:
        return self._apply("/v1/dead-letters/purge", "purged", ids)

    def _find(self, id_prefixes: Sequence[str]) -> list[dict[str, Any]]:
        async def find(api: WatcherApi) -> list[dict[str, Any]]:
            return [await api.dead_letter(id_prefix) for id_prefix in id_prefixes]

        try:
            return self._access.run(find)
        except ApiError as error:
            if error.reason != "not_found":
                raise
            raise _not_found(str(error)) from None

    def _apply(self, path: str, member: str, ids: Sequence[str]) -> int:
        async def apply(api: WatcherApi) -> int:
            async def piece(some: Sequence[str]) -> int:
                return int((await api.post(path, {"ids": list(some)}))[member])

            return await _in_pieces(partial(_of_those_left, api, piece), ids, SERVER_PAGE_SIZE)

        return self._access.run(apply)


async def _of_those_left(api: WatcherApi, work: Callable[[Sequence[str]], Awaitable[int]], ids: Sequence[str]) -> int:
    """Apply `work` to the dead letters. The watcher refuses ids that no longer exist, such as those that it has just retried."""
    try:
        return await work(ids)
    except ApiError as error:
        if error.reason != "not_found":
            raise
    left = {letter["id"] for letter in await api.items("/v1/dead-letters", "dead_letters", {})}
    remaining = [id_ for id_ in ids if id_ in left]
    return await work(remaining) if remaining else 0


async def _in_pieces(work: Callable[[Sequence[str]], Awaitable[int]], ids: Sequence[str], size: int = PAGE_SIZE) -> int:
    """Apply `work` to a page of ids at a time, so that the writes of the watcher do not wait for all of them."""
    return sum([await work(ids[start : start + size]) for start in range(0, len(ids), size)])


def _not_found(text: str) -> Exit:
    sentence(printable(text), err=True)
    return Exit(exit_codes.USAGE)
