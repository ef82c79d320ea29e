"""Dead letters: list, show, retry, and purge."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query, Request, Response
from pydantic import BaseModel, ConfigDict, model_validator

from watcher.api import examples
from watcher.api.access import Access
from watcher.api.backend import Backend
from watcher.api.parameters import check_texts, is_storable
from watcher.api.problems import Problem, responses
from watcher.api.replies import json_reply
from watcher.api.request_body import read_model
from watcher.queries.dead_letters import (
    DeadLetterDetails,
    DeadLetterLookupError,
    all_dead_letters,
    find_dead_letter,
    find_ids,
    list_dead_letters,
)
from watcher.queries.pages import PAGE_SIZE
from watcher.query import DeadLetterQuery

LetterId = Annotated[str, Path(description="The id of a dead letter, or its beginning, if only one id begins with it.")]


class Choice(BaseModel):
    """Which dead letters: those with these ids, or all. An id can be shortened, as long as only one id begins with it."""

    model_config = ConfigDict(extra="forbid")

    ids: list[str] | None = None
    all: bool = False

    @model_validator(mode="after")
    def _one_of(self) -> Choice:
        if bool(self.ids) == self.all:
            raise ValueError('give {"ids": [...]}, or {"all": true}')
        return self


def dead_letter_router(backend: Backend, access: Access) -> APIRouter:
    """Return the routes for dead letters."""
    routes = APIRouter(prefix="/v1/dead-letters", tags=["dead letters"])
    _add_routes_of_several(routes, backend, access)
    _add_routes_of_one(routes, backend, access)
    return routes


def _add_routes_of_several(routes: APIRouter, backend: Backend, access: Access) -> None:
    read, write = [Depends(access.require("read"))], [Depends(access.require("write"))]

    @routes.get(
        "",
        dependencies=read,
        summary="List dead letters",
        response_class=Response,
        responses=examples.DEAD_LETTERS | responses(400, 401, 403, 503),
    )
    async def list_all(
        task: Annotated[str | None, Query(max_length=2000, description="Only dead letters of the task with this key.")] = None,
        after: Annotated[str | None, Query(max_length=200, description="`next` of the previous page.")] = None,
        limit: Annotated[int, Query(ge=1, le=1000, description="Dead letters in a page.")] = 100,
    ) -> Response:
        """Lists dead letters without their bodies, the newest first."""
        check_texts(task, after)
        try:
            page = await list_dead_letters(backend.store, DeadLetterQuery(key=task, after=after, limit=limit))
        except ValueError as error:
            raise Problem(400, f"A parameter is invalid: after: {error}.") from None
        return json_reply({"dead_letters": [letter.as_json() for letter in page.items], "next": page.next})

    @routes.post(
        "/retry",
        status_code=202,
        dependencies=write,
        summary="Retry dead letters",
        response_class=Response,
        responses={202: examples.MARKED, **responses(400, 401, 403, 404, 413, 415, 503)},
        openapi_extra=examples.CHOICE,
    )
    async def retry_chosen(request: Request) -> Response:
        """Marks the dead letters. The running watcher retries them within seconds."""
        ids = await _chosen(backend, await read_model(request, Choice))
        return json_reply({"marked": sum([await backend.store.retry(piece) for piece in _pieces(ids)])}, 202)

    @routes.post(
        "/purge",
        dependencies=write,
        summary="Purge dead letters",
        response_class=Response,
        responses=examples.PURGED | responses(400, 401, 403, 404, 413, 415, 503),
        openapi_extra=examples.CHOICE,
    )
    async def purge_chosen(request: Request) -> Response:
        """Erases the dead letters. They can no longer be shown or retried."""
        ids = await _chosen(backend, await read_model(request, Choice))
        return json_reply({"purged": sum([await backend.store.purge(piece) for piece in _pieces(ids)])})


def _add_routes_of_one(routes: APIRouter, backend: Backend, access: Access) -> None:
    read, write = [Depends(access.require("read"))], [Depends(access.require("write"))]

    @routes.get(
        "/{id}",
        dependencies=read,
        summary="Show a dead letter",
        response_class=Response,
        responses=examples.DEAD_LETTER | responses(400, 401, 403, 404, 503),
    )
    async def show(id: LetterId) -> Response:
        """Shows a dead letter with its body, which can identify a person."""
        return json_reply((await _find(backend, id)).as_json())

    @routes.post(
        "/{id}/retry",
        status_code=202,
        dependencies=write,
        summary="Retry a dead letter",
        response_class=Response,
        responses={202: examples.MARKED, **responses(400, 401, 403, 404, 503)},
    )
    async def retry(id: LetterId) -> Response:
        """Marks the dead letter. The running watcher retries it within seconds."""
        return json_reply({"marked": await backend.store.retry([(await _find(backend, id)).summary.id])}, 202)

    @routes.delete(
        "/{id}",
        status_code=204,
        dependencies=write,
        summary="Purge a dead letter",
        response_class=Response,
        responses=examples.ERASED | responses(400, 401, 403, 404, 503),
    )
    async def purge(id: LetterId) -> Response:
        """Erases the dead letter. It can no longer be shown or retried."""
        await backend.store.purge([(await _find(backend, id)).summary.id])
        return Response(status_code=204)


async def _find(backend: Backend, id_prefix: str) -> DeadLetterDetails:
    try:
        return await find_dead_letter(backend.store, _storable(id_prefix))
    except DeadLetterLookupError as error:
        raise _lookup_problem(error) from None


async def _chosen(backend: Backend, choice: Choice) -> list[str]:
    if choice.all:
        return [letter.id for letter in await all_dead_letters(backend.store)]
    try:
        return await find_ids(backend.store, [_storable(each) for each in choice.ids or ()])
    except DeadLetterLookupError as error:
        raise _lookup_problem(error) from None


def _pieces(ids: list[str]) -> list[list[str]]:
    """Split the ids into several transactions, so that the writes of the watcher do not wait for all of them."""
    return [ids[start : start + PAGE_SIZE] for start in range(0, len(ids), PAGE_SIZE)]


def _storable(id_prefix: str) -> str:
    if not id_prefix or not is_storable(id_prefix):
        raise Problem(404, "No dead letter has this id.")
    return id_prefix


def _lookup_problem(error: DeadLetterLookupError) -> Problem:
    return Problem(404, f"{error}.")
