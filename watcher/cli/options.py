"""Options that several commands have, and the exception that ends a command with an exit code."""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import click

FILE = click.Path(path_type=Path)
"""A path that need not exist: reading the configuration reports what is wrong with it."""
CONFIG_VARIABLE = "WATCHER_CONFIG"
"""The environment variable that names the configuration where a command is given none."""
DEFAULT_CONFIG = Path("watcher.yaml")
"""The configuration in the working directory, which is used where neither the command nor the environment names one."""
STORE_CONFIG = "The configuration of the watcher whose store is used."
DEFAULT_NOTE = "[default: $WATCHER_CONFIG, then watcher.yaml]"
URL_VARIABLE, TOKEN_VARIABLE = "WATCHER_URL", "WATCHER_TOKEN_FILE"
"""The environment variables for `--url` and `--token-file`. They have no double underscore, so they set no key of a configuration."""
SUFFIXES = (".yaml", ".yml")
SEVERAL = ("ids", "tasks")
"""The parameters of commands that take any number of arguments: no other argument can follow them."""

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]


class Server(NamedTuple):
    """The HTTP API of a running watcher: its URL, and the file with the token for it, if it needs one."""

    url: str
    token_file: Path | None


def config_option(
    help_text: str = STORE_CONFIG, *, among: str | None = None, required: bool = True, default: bool = True, server: bool = False
) -> Decorator:
    """Add `--config FILE` and the argument FILE, which mean the same. The command gets the path as `config`.

    `among` is a parameter with arguments of the command: one of them may be FILE. Without any, the command gets the default
    configuration, unless `default` is False; None where there is none and it is not `required`.

    `server` adds `--url` and `--token-file`. The command gets both as `server`, and then no configuration; or None.
    """

    def add(command: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(command)
        def with_config(config: Path | None, config_file: Path | None = None, **others: Any) -> Any:
            if among is not None:
                others[among], config_file = _split(others[among], config_file)
            chosen = _one_of(config, config_file)
            if server:
                given = (others.pop("url"), others.pop("token_file"))
                others["server"] = _server(*given, chosen, others.get("queue_url"))
                if others["server"] is not None:
                    return command(config=None, **others)
            chosen = chosen or (default_config() if default else None)
            if chosen is None and required:
                raise click.UsageError(
                    f"no configuration: give FILE or --config FILE, set {CONFIG_VARIABLE}, or create {DEFAULT_CONFIG} with: watcher init"
                )
            return command(config=chosen, **others)

        option = click.option("--config", metavar="FILE", type=FILE, help=f"{help_text} The argument FILE is the same.  {DEFAULT_NOTE}")
        argument = click.argument("config_file", metavar="[FILE]", type=FILE, required=False)
        given = option(with_config if among in SEVERAL else argument(with_config))
        return _server_options(given) if server else given

    return add


def _server_options(command: Callable[..., Any]) -> Callable[..., Any]:
    token = click.option(
        "--token-file", metavar="FILE", type=FILE, help=f"The file with the token for --url.  [default: ${TOKEN_VARIABLE}]"
    )
    text = f"Use the API of the watcher at this URL, not a configuration.  [default: ${URL_VARIABLE}]"
    return click.option("--url", metavar="URL", help=text)(token(command))


def json_option() -> Decorator:
    """Return the flag `--json`, for the parameter `as_json`."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON on stdout, and nothing else.")


def default_config() -> Path | None:
    """Return the file that WATCHER_CONFIG names, else watcher.yaml in the working directory if it exists, else None."""
    if named := os.environ.get(CONFIG_VARIABLE):
        return Path(named)
    return DEFAULT_CONFIG if DEFAULT_CONFIG.exists() else None


def command_line(*words: str, config: Path | None = None, server: Server | None = None) -> str:
    """Return a command as a shell in this directory takes it: quoted, and with the configuration unless it is watcher.yaml here."""
    if server is not None:
        token = () if server.token_file is None else ("--token-file", str(server.token_file))
        return shlex.join(["watcher", *words, "--url", server.url, *token])
    is_default = config is None or (config == DEFAULT_CONFIG and not os.environ.get(CONFIG_VARIABLE))
    return shlex.join(["watcher", *words, *(() if is_default else ("--config", str(config)))])


def _server(url: str | None, token_file: Path | None, config: Path | None, queue_url: str | None) -> Server | None:
    """Return the server of the options or, if they name neither a server nor a configuration, of the environment."""
    elsewhere = config is not None or queue_url is not None
    if url is not None and elsewhere:
        raise click.UsageError(f"--url and {'--config' if config is not None else '--queue-url'} exclude each other: give one of them")
    named = url or (None if elsewhere else os.environ.get(URL_VARIABLE))
    if not named:
        if token_file is not None:
            raise click.UsageError(f"--token-file needs --url, or {URL_VARIABLE}")
        return None
    variable = os.environ.get(TOKEN_VARIABLE)
    return Server(_checked_url(named, "--url" if url else URL_VARIABLE), token_file or (Path(variable) if variable else None))


def _checked_url(text: str, name: str) -> str:
    """Return the URL unchanged. Raises a usage error, which does not repeat the text, if it is not the URL of an API."""
    try:
        parts = urlsplit(text)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0 and text.isascii() and text.isprintable()
    except ValueError:
        usable = False
    if not usable or " " in text:
        raise click.BadParameter("expected a URL such as https://watcher.example.com or http://127.0.0.1:8080", param_hint=name)
    if parts.username is not None or parts.query or parts.fragment:
        raise click.BadParameter("the URL must not contain credentials, a query, or a fragment; use --token-file", param_hint=name)
    return text


def _one_of(option: Path | None, argument: Path | None) -> Path | None:
    if option is not None and argument is not None and option != argument:
        raise click.UsageError(f"--config names {option}, and FILE is {argument}: give one of them")
    return option or argument


def _split(given: Any, file: Path | None) -> tuple[Any, Path | None]:
    """Return the arguments without the configuration file among them, and that file."""
    words = given if isinstance(given, tuple) else (given,)
    files = [Path(word) for word in words if word is not None and _names_config(word)]
    if len({*files, *([file] if file else [])}) > 1:
        raise click.UsageError(f"more than one configuration file: {', '.join(str(each) for each in files)}")
    if not files:
        return given, file
    rest = tuple(word for word in words if not _names_config(word))
    return rest if isinstance(given, tuple) else None, files[0]


def _names_config(word: str) -> bool:
    """Whether an argument is a configuration file: by its suffix, and because a task has a slash or the file exists."""
    return word.endswith(SUFFIXES) and ("/" not in word or Path(word).is_file())
