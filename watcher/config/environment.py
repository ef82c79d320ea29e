"""Checks the environment variables that decide how this process reaches others. Connects to nothing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from watcher.adapters.certificates import aws_mistakes, webhook_mistakes
from watcher.adapters.proxies import proxy_for
from watcher.config.settings import Settings
from watcher.errors import ConfigMistakes


def check_environment(settings: Settings, environ: Mapping[str, str]) -> Iterator[str]:
    """Yield a mistake for each variable that names certificates or a proxy that cannot be used."""
    yield from aws_mistakes(environ)
    urls = [str(getattr(sink, "url", "")) for sink in settings.sinks if getattr(sink, "type", "") == "webhook"]
    if urls:
        yield from webhook_mistakes(environ)
    for url in urls:
        try:
            proxy_for(url, environ)
        except ConfigMistakes as error:
            yield from error.mistakes
