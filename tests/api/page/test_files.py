"""The files of the page as a client gets them."""

import re

import pytest
from fastapi import FastAPI

from tests.api.running import client_of
from watcher.api.application import build_api
from watcher.api.page.routes import page_files, page_router

FILES = list(page_files())
ELSEWHERE = re.compile(
    r"(?:https?:)?//[a-z0-9.-]+\.[a-z]{2,}|\binnerHTML\b|\bouterHTML\b|insertAdjacentHTML|document\.write|\beval\(|\bstyle=|\bonclick="
)
"""Addresses outside, and what would turn text into markup."""


@pytest.fixture
def client():
    return client_of(build_api([page_router()]))


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.path)
async def test_each_file_is_served_with_its_headers(client, file):
    """Each file has its type, a policy that allows nothing from other hosts and no markup from a script, and no referrer."""
    reply = await client.get(file.path)
    assert (reply.status_code, reply.content, reply.headers["content-type"]) == (200, file.body, file.media_type)
    policy = reply.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'")
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert (reply.headers["x-content-type-options"], reply.headers["referrer-policy"]) == ("nosniff", "no-referrer")


async def test_a_file_that_did_not_change_is_not_sent_again(client):
    """A file is revalidated each time it is used, and sent again only if it changed."""
    etag = (await client.get("/")).headers["etag"]
    again = await client.get("/", headers={"If-None-Match": f'"other", W/{etag}'})
    assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", etag)
    assert (await client.get("/", headers={"If-None-Match": '"other"'})).status_code == 200
    assert (await client.get("/")).headers["cache-control"] == "no-cache"


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.path)
def test_nothing_comes_from_elsewhere_and_no_text_becomes_markup(file):
    """No file names another host, except for names of XML, and none has a way for a text to become an element or a script."""
    text = file.body.decode().replace("http://www.w3.org/2000/svg", "")
    assert ELSEWHERE.findall(text) == []


def test_the_page_names_only_files_that_there_are():
    """Each file that the page or a module imports is a file of the page, and each file is used."""
    paths = {file.path for file in FILES}
    named = {"/"}
    for file in FILES:
        text = file.body.decode()
        named |= {f"/page/{name}" for name in re.findall(r'(?:href|src)="page/([^"]+)"', text)}
        named |= {f"/page/{name}" for name in re.findall(r'from "\./([^"]+)"', text)}
    assert named == paths


def test_the_files_are_not_in_the_openapi_document():
    """The OpenAPI document describes the API only."""
    api = FastAPI()
    api.include_router(page_router())
    assert api.openapi()["paths"] == {}
