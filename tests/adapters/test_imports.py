"""What importing an adapter costs: commands that only read the configuration must not pay for the libraries of all sinks."""

import subprocess
import sys

import pytest

ADAPTERS = ["sinks.eventbridge", "sinks.jsonl", "sinks.sns", "sinks.sqs", "sinks.webhook", "sources.lines", "sources.sqs"]
HEAVY = {"aiobotocore", "aioboto3", "aiohttp", "asyncio", "boto3", "botocore", "httpx"}


@pytest.mark.process
def test_settings_of_adapters_import_no_client_library():
    """Importing all sources and sinks imports neither an HTTP client, nor the AWS SDK, nor asyncio."""
    code = f"import sys, {', '.join(f'watcher.adapters.{name}' for name in ADAPTERS)}; print(*sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert HEAVY & set(run.stdout.split()) == set()
