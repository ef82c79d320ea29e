"""What a command may import. How long an import takes depends on the machine; which modules it imports does not."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.conftest import recorded
from tests.process import PYTHON, completed
from watcher.cli.command_table import COMMANDS

pytestmark = pytest.mark.process

HEAVY = {
    *("aioboto3", "aiobotocore", "aiohttp", "anyio", "asyncio", "boto3", "botocore", "fastapi", "h11", "httpx", "jmespath"),
    *("prometheus_client", "pydantic", "rich", "ruamel", "sqlite3", "starlette", "structlog", "tenacity", "uvicorn", "uvloop"),
    *("watcher.adapters", "watcher.api.server", "watcher.app", "watcher.config", "watcher.core.polling", "watcher.kinds"),
    *("watcher.observe", "watcher.queries", "watcher.runtime", "watcher.simulator"),
}
"""Modules that a command imports only if it needs them to do its work."""

SETTINGS = {"anyio", "asyncio", "pydantic", "ruamel", "sqlite3", "watcher.adapters", "watcher.config", "watcher.core.polling"} | {
    *("watcher.kinds", "watcher.observe", "watcher.runtime")
}
"""What reading a configuration needs: the settings of every section are defined beside the code that they configure."""
STORE = SETTINGS | {"jmespath"}
"""What a command on a SQLite store needs: the kinds too."""
AWS = {"aioboto3", "aiobotocore", "aiohttp", "boto3", "botocore", "httpx", "jmespath"}
"""What calling AWS needs."""
CLIENT = SETTINGS | {"h11", "httpx", "jmespath", "rich", "watcher.queries"}
"""What a request to the HTTP API of a running watcher needs. httpx imports rich."""
SERVICE = SETTINGS | AWS | {"prometheus_client", "rich", "structlog", "tenacity", "uvloop", "watcher.app"}
"""What running the service needs. structlog imports rich."""

RUNS = {
    "config check w.yaml": SETTINGS,
    "config show": SETTINGS - {"ruamel"},
    "config variables w.yaml": SETTINGS,
    "config show --config w.yaml": SETTINGS,
    "tasks --config w.yaml": STORE | {"watcher.queries"},
    "explain abc/t1 --config w.yaml --json": STORE | {"watcher.queries"},
    "dead-letters list --config w.yaml": STORE | {"watcher.queries"},
    "replicas --config w.yaml": STORE | {"watcher.queries"},
    "forget abc/t1 --config w.yaml": STORE | {"watcher.queries"},
    "submit abc/t1 --config w.yaml": STORE,
    "events --config w.yaml": STORE | {"rich", "watcher.queries"},
    "events -f --url http://127.0.0.1:1": CLIENT,
    "tasks --url http://127.0.0.1:1": CLIENT,
    "explain abc/t1 --url http://127.0.0.1:1": CLIENT,
    "dead-letters list --url http://127.0.0.1:1": CLIENT,
    "replicas --url http://127.0.0.1:1": CLIENT,
    "submit abc/t1 --url http://127.0.0.1:1": CLIENT,
    "store copy --from w.db --config w.yaml": STORE,
    "run --config w.yaml": SERVICE,
    "kinds list": {"jmespath", "pydantic", "ruamel", "watcher.kinds"},
    "kinds show voice-tone": {"jmespath", "pydantic", "ruamel", "watcher.kinds"},
    "kinds list --config w.yaml": STORE,
    "kinds from-waiter sqs Nothing": {"botocore", "jmespath", "pydantic", "ruamel", "watcher.adapters", "watcher.kinds"},
    "watch abc": {"jmespath", "pydantic", "ruamel", "watcher.kinds"},
}
"""What each command may import to do its work; `watch abc` finds no task in its argument."""

SCRIPT = """
import json, sys
from watcher.__main__ import main
heavy = json.load(sys.stdin)
try:
    main()
finally:
    print(json.dumps([name for name in heavy if name in sys.modules]), file=sys.stderr)
"""


def imported(*arguments: str) -> set[str]:
    """The heavy modules that the process of a command has imported at its end."""
    done = completed([PYTHON, "-c", SCRIPT, *arguments], input=json.dumps(sorted(HEAVY)), capture_output=True, text=True)
    assert "Traceback" not in done.stderr
    return set(json.loads(done.stderr.splitlines()[-1]))


@pytest.mark.parametrize("arguments", ["--version", "--help", *(f"{name} --help" for name in COMMANDS), "config check --help"])
def test_help_imports_nothing_heavy(arguments: str) -> None:
    """`--version` and the help of every command import nothing but the command line itself."""
    assert imported(*arguments.split()) == set()


@pytest.mark.parametrize("arguments", RUNS)
def test_a_command_imports_only_what_it_needs(here: Path, monkeypatch: pytest.MonkeyPatch, arguments: str) -> None:
    """A command imports no heavy module beyond those of its work: in particular no simulator, no HTTP server, and AWS's SDK only to run."""
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    recorded()
    assert imported(*arguments.split()) <= RUNS[arguments]


def test_the_metrics_import_prometheus_client_only() -> None:
    """`watcher.observe.metrics` imports no other heavy module than prometheus_client."""
    script = f"import sys, watcher.observe.metrics; print(*[name for name in {sorted(HEAVY)} if name in sys.modules])"
    done = completed([PYTHON, "-c", script], capture_output=True, text=True, check=True)
    assert set(done.stdout.split()) == {"prometheus_client", "watcher.observe"}
