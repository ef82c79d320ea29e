from __future__ import annotations

from pathlib import Path

import pytest

from watcher.config import Loaded, Settings, parse, read, show
from watcher.errors import ConfigMistakes

GOOD = "sources: [{type: lines}]\nsinks: [{type: jsonl}]\n"


def settings(text: str = "", **environ: str) -> Settings:
    return parse(GOOD + text, "w.yaml", environ)


def loaded(folder: Path, text: str, **environ: str) -> Loaded:
    (folder / "w.yaml").write_text(text, encoding="utf-8")
    return read(folder / "w.yaml", environ)


def test_everything_but_sources_and_sinks_has_a_default() -> None:
    """A source and a sink are a complete configuration, with the store in watcher.db."""
    found = settings()
    assert (found.store.type, found.store.path) == ("sqlite", "watcher.db")
    assert found == Settings(sources=found.sources, sinks=found.sinks)


def test_a_section_without_values_keeps_its_defaults() -> None:
    """A section whose keys are all commented out keeps its defaults."""
    assert settings("pace:\nstore:\n") == settings()


@pytest.mark.parametrize(("word", "seconds"), [("30", 30.0), ("500ms", 0.5), ("90s", 90.0), ("2min", 120.0), ("'10'", 10.0)])
def test_durations_have_units(word: str, seconds: float) -> None:
    """A duration takes a unit; without one it is in seconds."""
    assert settings(f"limits: {{call_deadline: {word}}}").limits.call_deadline == seconds


def test_an_override_beats_the_file() -> None:
    """An environment variable replaces the value of its key only."""
    found = settings("pace: {rate: 5, burst: 7}", WATCHER_PACE__RATE="9.5")
    assert (found.pace.rate, found.pace.burst) == (9.5, 7)


def test_an_override_reaches_into_a_section_that_is_not_written() -> None:
    """An override of one key of a missing section keeps the other defaults."""
    assert settings(WATCHER_STORE__PATH="/var/lib/w.db").store.path == "/var/lib/w.db"


def test_an_override_names_entries_of_lists_by_index() -> None:
    """An index in a variable names an entry of a list; the index after the last one adds an entry."""
    found = settings(WATCHER_SINKS__0__PATH="a.jsonl", WATCHER_SINKS__1__TYPE="eventbridge", WATCHER_SINKS__1__BUS="calls")
    assert [sink.type for sink in found.sinks] == ["jsonl", "eventbridge"]
    assert (found.sinks[0].path, found.sinks[1].bus) == ("a.jsonl", "calls")


def test_the_environment_alone_can_name_sources_and_sinks() -> None:
    """An empty mapping and variables for a source and a sink are a complete configuration."""
    found = parse("{}", "w.yaml", {"WATCHER_SOURCES__0__TYPE": "lines", "WATCHER_SINKS__0__TYPE": "jsonl"})
    assert (found.sources[0].type, found.sinks[0].type) == ("lines", "jsonl")


def test_an_override_with_null_unsets() -> None:
    """The values `null` and empty unset a key."""
    for word in ("null", ""):
        assert settings("pace: {rate: 5}", WATCHER_PACE__RATE=word).pace.rate is None


def test_a_string_from_the_environment_may_look_like_a_number() -> None:
    """Digits from the environment are a string where a string is expected."""
    secret = "1234567890123456"
    found = settings('events: {hash_key: "${KEY}"}', WATCHER_STORE__PATH="2026", KEY=secret)
    assert found.store.path == "2026"
    assert found.events.hash_key is not None
    assert found.events.hash_key.get_secret_value() == secret
    bare = settings("events:\n  hash_key: ${KEY}\n", KEY=secret)
    assert bare.events == found.events


def test_other_variables_are_ignored() -> None:
    """A variable without the prefix and a double underscore is ignored."""
    assert settings(WATCHER_CONFIG="x", WATCHERS__PACE="5", PACE__RATE="5") == settings()


def test_references_read_the_environment() -> None:
    """`${NAME}` is replaced anywhere in a string, more than once."""
    found = settings('store: {type: sqlite, path: "${DIR}/${NAME}.db"}', DIR="/var", NAME="w")
    assert found.store.path == "/var/w.db"


@pytest.mark.parametrize(("environ", "path"), [({}, "w.db"), ({"DB": ""}, "w.db"), ({"DB": "x.db"}, "x.db")])
def test_a_reference_may_have_a_default(environ: dict[str, str], path: str) -> None:
    """The default after `:-` replaces an unset and an empty variable, as in a shell."""
    assert settings('store: {type: sqlite, path: "${DB:-w.db}"}', **environ).store.path == path


def test_a_reference_without_quotes_may_be_a_number() -> None:
    """A reference without quotes has the type that its value would have in the file."""
    assert settings("pace:\n  rate: ${RATE:-2.5}\n").pace.rate == 2.5


def test_the_value_of_a_reference_is_not_parsed() -> None:
    """The value of a reference adds no keys and no further references."""
    evil = "x\npace: {rate: 1}\n${HOME}"
    found = settings('store: {type: sqlite, path: "${DB}"}', DB=evil, HOME="/root")
    assert found.store.path == evil
    assert found.pace.rate is None


def test_a_doubled_dollar_is_literal() -> None:
    """`$${` is a literal `${`, and a dollar without a brace is literal."""
    assert settings('store: {type: sqlite, path: "$${DB}$5"}').store.path == "${DB}$5"


@pytest.mark.parametrize("word", ["on", "no", "1:30", "1_000", "2026-11-22", "0x1F", "=", "<<"])
def test_the_surprises_of_yaml_1_1_are_strings(word: str) -> None:
    """Words that YAML 1.1 reads as booleans, minutes, numbers or dates are strings."""
    assert settings(f"store: {{type: sqlite, path: {word}}}").store.path == word


def test_anchors_work_within_reason() -> None:
    """An alias repeats the value of its anchor."""
    found = settings("limits: {call_deadline: &d 10s, stop_deadline: *d}\n")
    assert found.limits.call_deadline == found.limits.stop_deadline == 10


def test_show_prints_the_origin_of_each_value(tmp_path: Path) -> None:
    """`show` prints the line, the variable or `default` beside each value."""
    lines = show(loaded(tmp_path, GOOD + "pace: {rate: 5}", WATCHER_LOGS__LEVEL="debug")).splitlines()
    origins = {line.split("#")[0].strip(): line.split("# ")[1] for line in lines if "#" in line}
    assert origins["rate: 5"] == f"{tmp_path}/w.yaml:3"
    assert origins["level: debug"] == "environment: WATCHER_LOGS__LEVEL"
    assert origins["burst: 1"] == "default"


def test_show_reads_back_as_the_same_settings(tmp_path: Path) -> None:
    """The output of `show` is a configuration with the same settings, if it has no secret."""
    shown = loaded(tmp_path, GOOD + 'pace: {rate: 2.5}\nstore: {type: sqlite, path: "yes"}\napi: {listen: "127.0.0.1:8080"}')
    assert parse(show(shown), "shown.yaml", {}) == shown.settings


def test_show_masks_secrets(tmp_path: Path) -> None:
    """`show` masks secrets, headers, and the user and the query of a URL."""
    secret = "whsec_" + "Y2Fu" * 8
    hook = f"{{type: webhook, url: 'https://example.com/hook?sig=canary', headers: {{Authorization: canary}}, secrets: [{secret}]}}"
    text = f"sources: [{{type: lines}}]\nsinks:\n  - {hook}\nevents: {{hash_key: canary-canary-canary}}\n"
    shown = show(loaded(tmp_path, text))
    assert "canary" not in shown
    assert "Y2Fu" not in shown
    assert shown.count("********") == 4


@pytest.mark.parametrize(
    ("url", "visible"),
    [
        ("https://hooks.chat.example/services/canary1/canary2", "https://hooks.chat.example/********"),
        ("https://chat.example/api/webhooks/123/canary", "https://chat.example/********"),
        (
            "https://acme.webhook.office.example/webhookb2/canary@canary/IncomingWebhook/canary",
            "https://acme.webhook.office.example/********",
        ),
        ("https://prod-7.logic.example:443/workflows/canary/invoke?sig=canary&sp=canary", "https://prod-7.logic.example:443/********"),
        ("https://hook.example/canary", "https://hook.example/********"),
        ("http://[fd00::7]:8080/a/canary", "http://[fd00::7]:8080/********"),
        ("https://hook.example?key=canary", "https://hook.example/********"),
        ("https://hook.example/#canary", "https://hook.example/********"),
        ("https://hook.example/", "https://hook.example"),
        ("https://hook.example", "https://hook.example"),
    ],
)
def test_show_masks_the_path_of_a_webhook(tmp_path: Path, url: str, visible: str) -> None:
    """Chat services put the secret into the path: of the URL of a webhook, only scheme, host, and port are shown."""
    queue = "https://sqs.eu-west-1.amazonaws.com/111122223333/in"
    text = f"sources: [{{type: sqs, queue_url: '{queue}'}}]\nsinks: [{{type: webhook, url: '{url}'}}]\n"
    shown = show(loaded(tmp_path, text))
    assert "canary" not in shown
    assert f'url: "{visible}" ' in shown
    assert queue in shown, "the name of a queue is no secret"


@pytest.mark.parametrize(
    "wrong", ["url: 5canary", "url: [https://h.example/canary]", "url: 'ftp://h.example/canary'", "url: 'https://h.example:x/canary'"]
)
@pytest.mark.parametrize("more", ["", ", name: 'Bad Name'", ", timeout: canary"])
def test_a_mistake_does_not_repeat_the_url_of_a_webhook(tmp_path: Path, wrong: str, more: str) -> None:
    """Whatever is wrong with it or beside it, the path of a URL is in no mistake."""
    with pytest.raises(ConfigMistakes) as caught:
        loaded(tmp_path, f"sources: [{{type: lines}}]\nsinks: [{{type: webhook, {wrong}{more}}}]\n")
    assert "h.example" not in str(caught.value)
    assert not more.endswith("canary") or "canary" not in str(caught.value)


def test_settings_are_frozen() -> None:
    """Settings cannot be changed after they are loaded."""
    with pytest.raises(ValueError, match="frozen"):
        settings().pace.rate = 5  # type: ignore[misc]


def test_mistakes_are_one_error() -> None:
    """ConfigMistakes holds all mistakes, one to a line."""
    with pytest.raises(ConfigMistakes) as caught:
        settings("a: 1\nb: 2\n")
    assert str(caught.value).count("\n") == len(caught.value.mistakes) - 1 == 1


@pytest.mark.parametrize("text", ["api: {listen: ':8080'}", "sources: []\nsinks: []\napi: {listen: ':8080'}"], ids=["left out", "empty"])
def test_with_the_api_there_may_be_no_source_and_no_sink(tmp_path: Path, text: str) -> None:
    """A configuration whose tasks and events come and go over HTTP needs no source and no sink."""
    found = loaded(tmp_path, text).settings
    assert (found.sources, found.sinks) == ((), ())
