"""Variables of the environment that decide how this process reaches others: a value that cannot be used is a mistake."""

from __future__ import annotations

from pathlib import Path

import certifi
import pytest

from watcher.config import load
from watcher.errors import ConfigMistakes

HOOK = "{type: webhook, url: 'https://hooks.example.com/x'}"
FILE = "{type: jsonl}"


def mistakes(folder: Path, sinks: str, environ: dict[str, str], *, paths: bool = True) -> list[str]:
    file = folder / "w.yaml"
    file.write_text(f"sources: [{{type: lines}}]\nsinks: [{sinks}]\n", encoding="utf-8")
    try:
        load(file, environ, paths=paths)
    except ConfigMistakes as error:
        return list(error.mistakes)
    return []


@pytest.fixture
def damaged(tmp_path: Path) -> str:
    """A file without a certificate."""
    file = tmp_path / "damaged.pem"
    file.write_text("-----BEGIN CERTIFICATE-----\nbm8=\n-----END CERTIFICATE-----\n")
    return str(file)


@pytest.mark.parametrize("name", ["AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE"])
@pytest.mark.parametrize("kind", ["missing", "damaged", "no certificate", "a directory", "no path"])
def test_certificates_that_cannot_be_used_are_a_mistake(tmp_path: Path, damaged: str, name: str, kind: str) -> None:
    """A file that is missing or damaged is reported before the start, with the name of the variable and the path."""
    path = {"missing": "/nowhere/ca.pem", "damaged": damaged, "no certificate": "/dev/null", "a directory": "/", "no path": "a\0b"}[kind]
    (mistake,) = mistakes(tmp_path, HOOK, {name: path})
    assert mistake.startswith(f"environment: {name}: {path} ")
    assert "unset the variable" in mistake


@pytest.mark.parametrize("name", ["AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE"])
def test_an_empty_bundle_for_aws_is_a_mistake(tmp_path: Path, name: str) -> None:
    """The SDK would take it for the request to verify no certificate."""
    (mistake,) = mistakes(tmp_path, FILE, {name: ""})
    assert mistake.startswith(f"environment: {name}: is empty")


@pytest.mark.parametrize(
    ("sinks", "environ"),
    [
        (HOOK, {"AWS_CA_BUNDLE": certifi.where(), "SSL_CERT_FILE": certifi.where(), "SSL_CERT_DIR": "/nowhere"}),
        (HOOK, {"AWS_CA_BUNDLE": certifi.where(), "REQUESTS_CA_BUNDLE": "/nowhere"}),
        (HOOK, {"SSL_CERT_FILE": "", "SSL_CERT_DIR": "/"}),
        (HOOK, {"HTTP_PROXY": "socks5://127.0.0.1:1", "NO_PROXY": "[::1], 10.0.0.0/8"}),
        (HOOK, {"ALL_PROXY": "socks5://127.0.0.1:1", "NO_PROXY": "example.com"}),
        (FILE, {"ALL_PROXY": "socks5://127.0.0.1:1", "SSL_CERT_FILE": "/nowhere", "SSL_CERT_DIR": "/nowhere"}),
    ],
)
def test_what_is_not_used_need_not_be_usable(tmp_path: Path, sinks: str, environ: dict[str, str]) -> None:
    """A variable that is not read for these sinks, or that another one replaces, is no mistake."""
    assert mistakes(tmp_path, sinks, environ) == []


def test_all_mistakes_are_reported_at_once(tmp_path: Path) -> None:
    """Those of the file, of the paths, and of each variable; without the check of paths none of them."""
    environ = {"AWS_CA_BUNDLE": "/nowhere/a", "SSL_CERT_DIR": "/nowhere/b", "https_proxy": "socks4://127.0.0.1:1"}
    sinks = f"{{type: jsonl, path: /nowhere/events}}, {HOOK}"
    found = mistakes(tmp_path, sinks, environ)
    assert [line.split(": ")[1] for line in found] == ["sinks[0].path", "AWS_CA_BUNDLE", "SSL_CERT_DIR", "https_proxy"]
    assert mistakes(tmp_path, sinks, environ, paths=False) == []
