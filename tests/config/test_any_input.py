from __future__ import annotations

import json

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from watcher.config import Settings, parse, show
from watcher.config.load import Loaded
from watcher.errors import ConfigMistakes

GOOD = "sources: [{type: lines}]\nsinks: [{type: jsonl}]\n"
any_speed = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])  # passes on a machine of any speed
SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8), st.sampled_from(["-", "sqlite", "5s", "${A}"])
)
KEYS = st.sampled_from(
    [
        "sources",
        "sinks",
        "store",
        "pace",
        "rate",
        "type",
        "path",
        "cadence",
        "min_gap",
        "api",
        "listen",
        "events",
        "hash_key",
        "headers",
        "0",
        "name",
    ]
)
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4), max_leaves=12)


def outcome(text: str, environ: dict[str, str]) -> Settings | tuple[str, ...]:
    try:
        return parse(text, "w.yaml", environ)
    except ConfigMistakes as mistakes:
        return mistakes.mistakes


@any_speed
@given(st.text(alphabet=st.sampled_from("abc:-{}[]\"'#&*!|>%@`,\n\t ${}0.\u0085\ufeff\ud800"), max_size=60))
def test_any_text_is_settings_or_mistakes(text: str) -> None:
    """Any text gives settings or ConfigMistakes, and no other error."""
    assert outcome(text, {})
    assert outcome(GOOD + text, {})


@any_speed
@given(st.dictionaries(KEYS, VALUES, max_size=4))
def test_any_shape_is_settings_or_mistakes(value: dict[str, object]) -> None:
    """Any value in any place gives settings or ConfigMistakes, and no other error."""
    text = json.dumps(value)
    assert outcome(text, {"A": "5"})


@any_speed
@given(
    st.dictionaries(
        st.lists(KEYS | st.sampled_from(["1", "99999", ""]), min_size=2, max_size=4).map(
            lambda parts: "WATCHER_" + "__".join(parts).upper()
        ),
        st.text(max_size=8),
        max_size=4,
    )
)
def test_any_environment_is_settings_or_mistakes(environ: dict[str, str]) -> None:
    """Any variables give settings that can be shown, or ConfigMistakes, and no other error."""
    found = outcome(GOOD, environ)
    if isinstance(found, Settings):
        assert show(Loaded(found, {}))
