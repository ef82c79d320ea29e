"""Authentication for /v1: tokens and roles; without tokens, only clients on this machine."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import SecretStr, ValidationError

from watcher.api.access import Access, Role, TokenFileError, read_clients
from watcher.api.problems import Problem
from watcher.api.settings import ApiSettings, ApiToken

READ, WRITE = "reads-0123456789", "writes-0123456789"
TOKENS = (ApiToken(name="grafana", token=SecretStr(READ)), ApiToken(name="ci", role="write", token=SecretStr(WRITE)))


def status(access: Access, role: Role, **headers: str) -> int:
    """The status with which a request is refused; 200 where it is not."""
    try:
        access.check(role, headers)
    except Problem as problem:
        return problem.status
    return 200


@pytest.mark.parametrize("beyond", [True, False], ids=["beyond loopback", "loopback"])
@pytest.mark.parametrize(
    ("authorization", "role", "expected"),
    [
        ("", "read", 401),
        (f"Bearer {READ}", "read", 200),
        (f"bearer {READ}", "read", 200),
        (f"Bearer {READ}", "write", 403),
        (f"Bearer {WRITE}", "write", 200),
        (f"Bearer {WRITE}", "read", 200),
        (f"Bearer {READ}x", "read", 401),
        (f"Bearer {READ[:-1]}", "read", 401),
        ("Bearer ", "read", 401),
        (f"Basic {READ}", "read", 401),
        (READ, "read", 401),
        ("Bearer \udcff", "read", 401),
    ],
)
def test_a_token_decides_as_soon_as_there_is_one(beyond: bool, authorization: str, role: Role, expected: int) -> None:
    """If tokens are configured, each request needs a token with the right role, from any address."""
    access = Access(read_clients(TOKENS))
    access.beyond_loopback = beyond
    assert status(access, role, authorization=authorization, host="watcher.example") == expected


@pytest.mark.parametrize("role", ["read", "write"])
def test_without_tokens_nothing_is_served_beyond_this_machine(role: Role) -> None:
    """An API that other machines can reach and that has no tokens replies with 401."""
    access = Access(())
    with pytest.raises(Problem, match=r"api\.tokens") as refused:
        access.check(role, {"host": "127.0.0.1:8080"})
    assert refused.value.headers == {"WWW-Authenticate": 'Bearer realm="watcher"'}


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("127.0.0.1:8080", 200),
        ("localhost:8080", 200),
        ("[::1]:8080", 200),
        ("localhost", 200),
        ("127.1.2.3", 200),
        ("evil.example", 403),
        ("127.0.0.1.evil.example", 403),
        ("", 403),
        ("[::1", 403),
    ],
)
def test_a_page_that_pretends_to_be_this_machine_is_refused(host: str, expected: int) -> None:
    """Without tokens, a request is refused if its Host header is not a name of this machine."""
    access = Access(())
    access.beyond_loopback = False
    assert status(access, "read", host=host) == expected


@pytest.mark.parametrize(
    ("origin", "role", "expected"),
    [
        ("http://localhost:8080", "write", 200),
        ("https://evil.example", "write", 403),
        ("null", "write", 403),
        ("https://evil.example", "read", 200),
    ],
)
def test_a_page_of_another_site_changes_nothing(origin: str, role: Role, expected: int) -> None:
    """Without tokens, a request that changes something is refused if it comes from a page of another site."""
    access = Access(())
    access.beyond_loopback = False
    assert status(access, role, host="localhost:8080", origin=origin) == expected


def test_a_token_can_be_in_a_file(tmp_path: Path) -> None:
    """A token file gives the token, without the line break at its end."""
    path = tmp_path / "token"
    path.write_text(f"{WRITE}\n")
    access = Access(read_clients([ApiToken(name="ci", role="write", token_file=str(path))]))
    assert status(access, "write", authorization=f"Bearer {WRITE}") == 200


@pytest.mark.parametrize(
    "content", [None, b"short", b"\xff" * 20, b"two lines\nshort-0123456789"], ids=["missing", "short", "not text", "two lines"]
)
def test_a_token_file_that_cannot_be_used_is_named(tmp_path: Path, content: bytes | None) -> None:
    """A token file that is missing, too short, or not text is an error that names the token and the file, not the content."""
    path = tmp_path / "token"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(TokenFileError, match=r"token 'ci': .*token") as error:
        read_clients([ApiToken(name="ci", token_file=str(path))])
    assert "short" not in str(error.value).replace(str(tmp_path), "")


@pytest.mark.parametrize(
    "tokens",
    [
        [{"name": "a"}],
        [{"name": "a", "token": READ, "token_file": "x"}],
        [{"name": "a", "token": "short"}],
        [{"name": "a", "token": READ, "role": "admin"}],
        [{"name": "a", "token": f"{READ} "}],
        [{"name": "a", "token": f"{READ}\n"}],
        [{"name": "a", "token": f"{READ}-ä"}],
        [{"name": "a", "token": READ}, {"name": "a", "token": WRITE}],
    ],
)
def test_a_token_of_the_configuration_is_checked(tokens: list[dict[str, str]]) -> None:
    """A token needs exactly one of token and token_file, 16 characters that a client can send, a known role, and a name of its own."""
    with pytest.raises(ValidationError):
        ApiSettings.model_validate({"tokens": tokens})
