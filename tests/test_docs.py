"""What the documentation says is so: examples are rendered again, commands parsed, snippets loaded, names looked up in the code."""

import ast
import base64
import json
import re
import shlex
import tomllib
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest
from moto.events.models import EventPattern
from moto.sns.utils import FilterPolicyMatcher
from ruamel.yaml import YAML

from tests.observe.test_deploy import declared
from watcher import errors
from watcher.adapters.aws import batches
from watcher.adapters.sinks.webhook import signature_headers
from watcher.cli import app, exit_codes
from watcher.config import Settings, parse
from watcher.core.delivery.events import EventSettings, EventWriter
from watcher.core.intake.submissions import REASONS
from watcher.core.polling.circuits import NAMES
from watcher.core.polling.transitions import WatchSettings, advance, end
from watcher.kinds.catalog import builtin_catalog
from watcher.model import EventType, Observation, TaskRef, Watch
from watcher.queries.explain import END_REASONS

load_yaml = YAML(typ="safe", pure=True).load

ROOT = Path(__file__).parents[1]
PAGES = sorted([*ROOT.glob("docs/*.md"), *(ROOT / name for name in ("README.md", "CONTRIBUTING.md"))])
ARCHITECTURE, OPERATING, EVENTS = (ROOT / "docs" / f"{name}.md" for name in ("architecture", "operating", "events"))
FENCE = re.compile(r"^( *)```(\S*)\n(.*?)^\1```$", re.DOTALL | re.MULTILINE)
TO_BE_WRITTEN = {"watcher/adapters/sinks/directory.py", "tests/contracts/test_directory_sink.py"}
"""Files that docs/extending.md tells its reader to write."""

KIND = builtin_catalog()["speaker-search"]
HASH_KEY = "a key of your own, kept secret"
T0 = 1_795_341_600.0
"""2026-11-22T10:00:00Z."""


def blocks(page, *languages):
    """The fenced blocks in one of these languages."""
    return [body for _, language, body in FENCE.findall(page.read_text()) if language in languages]


def prose(page):
    """The page without its blocks."""
    return FENCE.sub("", page.read_text())


def first_column(page, heading):
    """The words in backticks of the first column of the first table under a heading."""
    section = page.read_text().split(f"\n{heading}\n", 1)[1].lstrip("\n")
    rows = re.search(r"^\|.*?\n\|[-| ]+\|\n((?:\|.*\n?)+)", section, re.MULTILINE)[1].splitlines()
    return [re.findall(r"`([^`]+)`", row.split("|")[1]) for row in rows]


@cache
def story():
    """A speaker search: seen while it runs, told with a voiceprint to come, settled; and another whose deadline passes."""
    ref = TaskRef("speaker-search", ("abcdefghij0123456789a", "2f0c7f3e-6d0b-4d2c-9a45-0d7c5a7f1f10"))
    watch = Watch(ref, "0" * 32, T0, T0 + 3600, context='{"call":"c-42"}')
    matches = [{"voice_profile_id": "v-0f1e2d3c", "confidence": 0.91}]
    looks = [
        Observation("IN_PROGRESS", T0 + 2.25, created_at=T0, started_at=T0 + 1.5, updated_at=T0 + 1.5),
        Observation("PARTIAL_SUCCESS", T0 + 12.75, {"voiceprint": None, "matches": matches}, T0, T0 + 1.5, T0 + 12.345, "identified"),
        Observation(
            "PARTIAL_SUCCESS",
            T0 + 32.5,
            {"voiceprint": "VoiceprintGenerationSuccess", "matches": matches},
            T0,
            T0 + 1.5,
            T0 + 31.0,
            "identified",
        ),
    ]
    steps = []
    for look in looks:
        steps.append(advance(KIND, watch, look, WatchSettings()))
        watch = steps[-1].watch
    return steps, end(steps[0].watch, "deadline", T0 + 3605)


def rendered(step, results="full", key=None):
    """The event of a step, as it leaves the house."""
    return EventWriter(EventSettings(results=results, hash_key=key), "us-east-1").write(KIND, step.watch, step.transitions[0], T0)


def examples():
    """Each generated block of events.md, by the name in the comment above it."""
    (seen, partial, settled), ended = story()
    shown = {
        "transition": json.loads(rendered(partial).body),
        "first": _told(seen),
        "updated": _told(settled),
        "ended": _told(ended),
    }
    privacy = {"full": ("full", None), "hashed": ("hashed", None), "hashed, with hash_key": ("hashed", HASH_KEY)}
    privacy |= {"count": ("count", None), "none": ("none", None)}
    shown["privacy"] = {
        name: {member: json.loads(rendered(partial, *how).body)["data"][member] for member in ("result", "message")}
        for name, how in privacy.items()
    }
    return {name: json.dumps(value, indent=2) for name, value in shown.items()}


def _told(step):
    event = json.loads(rendered(step).body)
    return {name: event[name] for name in ("type", "sequence", "time")} | {"data": {"...": "as above", **_news(event["data"])}}


def _news(data):
    names = ("from", "to", "terminal", "skipped", "observed_at", "updated_at", "detection_lag_s", "polls", "result", "reason")
    return {name: data[name] for name in names if name in data}


def test_the_examples_are_what_the_code_writes():
    """Each generated block of events.md stands there as the real writer renders it today."""
    marked = dict(re.findall(r"<!-- generated: (\w+) -->\n+```json\n(.*?)\n```", EVENTS.read_text(), re.DOTALL))
    assert marked == examples()


def test_the_story_of_the_page_is_the_one_told():
    """The second look is provisional, the third settles the watch; the deadline ends the other one."""
    (_, partial, settled), ended = story()
    assert (partial.watch.open, settled.watch.end_reason, ended.watch.end_reason) == (True, "settled", "deadline")
    assert [step.transitions[0].type for step in (partial, settled, ended)] == list(EventType)


def test_each_member_of_an_event_is_explained():
    """No attribute of the envelope and no member of the data is missing from the tables, and none is invented."""
    (_, partial, _), ended = story()
    envelope, data = (set(json.loads(rendered(partial).body)), json.loads(rendered(ended).body)["data"])
    assert {name for row in first_column(EVENTS, "## The envelope") for name in row} == envelope
    assert {name for row in first_column(EVENTS, "## The data") for name in row} == set(data)


def test_each_type_and_each_end_is_explained():
    """The table of types has all three, and the reasons of an ended watch are those the code knows."""
    assert [row[0] for row in first_column(EVENTS, "## Three types")] == [str(type_) for type_ in EventType]
    reasons = {row[0] for row in first_column(EVENTS, "### How a watch ends")}
    assert reasons == set(END_REASONS)


def python_of_events():
    """The namespace that the Python blocks of the page make."""
    space = {}
    for block in blocks(EVENTS, "python"):
        exec(compile(block, str(EVENTS), "exec"), space)
    return space


def test_the_receiver_of_the_page_takes_what_the_watcher_signs():
    """The code sample accepts a signed event, also by an older key, and refuses a changed, a stale and an unsigned one."""
    verify, event = python_of_events()["verify"], rendered(story()[0][1])
    secret, older = b"k" * 32, b"o" * 32
    headers = dict(signature_headers(event, int(T0), [secret, older]))
    spelled = [f"whsec_{encoded(key)}" for key in (secret, older, b"x" * 32)]
    assert verify(spelled[0], headers, event.body, now=T0 + 1)["id"] == event.id
    assert verify(spelled[1], headers, event.body, now=T0 + 1)["id"] == event.id
    bad = [(spelled[2], headers, event.body, T0), (spelled[0], headers, event.body + b" ", T0), (spelled[0], headers, event.body, T0 + 601)]
    bad.append((spelled[0], {**headers, "webhook-signature": ""}, event.body, T0))
    for secret_, sent, body, now in bad:
        with pytest.raises(ValueError, match="webhook"):
            verify(secret_, sent, body, now=now)


def encoded(key):
    """Base64, as a secret is written."""
    return base64.b64encode(key).decode()


def test_the_consumer_of_the_page_is_safe_against_repeats_and_disorder():
    """The code sample applies each state once, never goes back to an older one, and follows a new watch of the same task."""
    (seen, partial, settled), _ = story()
    again = replace(seen.transitions[0], observed_at=T0 + 100)
    one, two, three = (json.loads(rendered(step).body) for step in (seen, partial, settled))
    anew = json.loads(rendered(replace(seen, watch=seen.watch._replace(id="1" * 32), transitions=(again,))).body)
    applied = []
    consumer = python_of_events()["Consumer"](applied.append)
    for event in (two, one, two, one, three, three, anew, two):
        consumer.take(event)
    assert applied == [two, three, anew]
    assert (anew["sequence"], anew["id"] != one["id"]) == ("0000000001", True)


def filters(name):
    """The JSON blocks under a comment of this name."""
    return [json.loads(text) for text in re.findall(rf"<!-- {name} -->\n+```json\n(.*?)\n```", EVENTS.read_text(), re.DOTALL)]


def test_filter_policies_match_what_they_promise():
    """Each SNS policy lets the settled end of the story pass and nothing before it, by the attributes the sink really sends."""
    (seen, _, settled), _ = story()
    policies = filters("sns filter")
    assert policies
    for policy in policies:
        matcher = FilterPolicyMatcher(policy, "MessageAttributes")
        for step, passes in ((settled, True), (seen, False)):
            entry = batches.message_entry(rendered(step), body="Message", fifo=False)
            attributes = {
                name: {"Type": "String", "Value": value["StringValue"]} for name, value in entry.fields["MessageAttributes"].items()
            }
            assert matcher.matches(attributes, entry.fields["Message"]) is passes


def test_rule_patterns_match_what_they_promise():
    """Each EventBridge pattern matches the settled end of the story and nothing before it."""
    (seen, _, settled), _ = story()
    patterns = filters("eventbridge pattern")
    assert patterns
    for pattern in patterns:
        for step, matches in ((settled, True), (seen, False)):
            event = rendered(step)
            sent = {"source": "watcher", "detail-type": event.type, "detail": json.loads(event.body)}
            assert EventPattern.load(json.dumps(pattern)).matches_event(sent) is matches


def test_fifo_attributes_are_those_of_the_page():
    """What a FIFO queue is given beside the body, and the attributes to filter by, are all named on the page."""
    entry = batches.message_entry(rendered(story()[0][2]), body="MessageBody", fifo=True)
    named = set(re.findall(r"`([\w-]+)`", prose(EVENTS)))
    assert {"MessageGroupId", "MessageDeduplicationId", *entry.fields["MessageAttributes"]} <= named


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    """Each relative link names a file that exists, and an anchor that is one of its headings."""
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(page)):
        if re.match(r"[a-z]+:", target):
            continue
        name, _, anchor = target.partition("#")
        file = (page.parent / name).resolve() if name else page
        assert file.exists(), target
        if anchor:
            assert anchor in {slug(heading) for heading in re.findall(r"^#+ (.+)$", file.read_text(), re.MULTILINE)}, target


def slug(heading):
    """The anchor that a heading gets."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_files_that_are_named_exist(page):
    """Whoever follows the page finds what it points at, seen from the root of the repository or from the package."""
    named = re.findall(r"`((?:\.?[\w-]+/)+[\w.*-]*|Makefile|Dockerfile|pyproject\.toml)`", page.read_text())
    places = (ROOT, ROOT / "watcher", ROOT / "watcher" / "adapters", ROOT / "config" / "deploy", ROOT / ".venv")
    ours = re.compile(r"(watcher|tests|docs|config|requirements|\.ci|core|runtime|adapters|aws|sources|sinks|stores|api|cli|kinds|iam)/")
    for name in named:
        if (ours.match(name) or "/" not in name) and name not in TO_BE_WRITTEN:
            assert any(list(place.glob(name.rstrip("/"))) for place in places), name


def command_lines(text):
    """Each call of `watcher` in a block of commands, as arguments."""
    for line in re.sub(r"\\\n\s*", " ", text).splitlines():
        words = shlex.split(line.removeprefix("$ ").replace("…", "..."), comments=True)
        calls = [[]]
        for word in words:
            calls.append([]) if word in ("|", "&&", "||", ";", "&", ">", ">>") else calls[-1].append(word.rstrip(";"))
        for call in calls:
            while call and re.fullmatch(r"[A-Z_]+=.*|docker|exec|\$|\.venv/bin/watcher", call[0]):
                if call[0] == ".venv/bin/watcher":
                    break
                call.pop(0)
            if call and call[0] in ("watcher", ".venv/bin/watcher"):
                yield call[1:]


def command(arguments):
    """The command that the arguments name, after its options were parsed; nothing is run. Raises what the parser does."""
    at, rest = app, list(arguments)
    while hasattr(at, "commands") and rest and rest[0] in at.commands:
        at = at.commands[rest.pop(0)]
    context = at.context_class(at, info_name=at.name)
    given, left, _ = at.make_parser(context).parse_args(rest)
    assert not left, left
    missing = [p.name for p in at.params if p.required and not given.get(p.name)]
    if not ({"help", "version"} & set(given)) and not hasattr(at, "commands"):
        assert not missing, missing
    return at


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_parse(page):
    """Each command line of a page is one that the command takes: the names of commands and options, and what must be given."""
    for block in blocks(page, "console", "bash", "sh"):
        for call in command_lines(block):
            command(call)


def test_the_parser_of_this_test_refuses():
    """It would notice: an option that is not there, a command that is not there, a missing argument."""
    for line in ("watcher run --nope", "watcher explain abc/1", "watcher sing"):
        (call,) = command_lines(line)
        with pytest.raises(Exception, match=r"nope|config|sing"):
            command(call)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_configurations_load(page):
    """Each snippet of YAML is good: whole ones as they are, single sections with a source and a sink beside them."""
    rules = [r for group in load_yaml((ROOT / "config/deploy/alerts.yaml").read_text())["groups"] for r in group["rules"]]
    for text in blocks(page, "yaml"):
        content = load_yaml(text)
        if "type: directory" in text:  # the sink that extending.md adds
            continue
        if isinstance(content, list):
            assert all(rule in rules for rule in content), text
            continue
        assert set(content) <= set(Settings.model_fields), text
        whole = text
        if "sources" not in content:
            whole += "\nsources: [{type: lines, path: in.txt}]\n"
        if "sinks" not in content:
            whole += "\nsinks: [{type: jsonl, path: out.jsonl}]\n"
        environment = dict.fromkeys(re.findall(r"\$\{(\w+)", text), "https://sqs.us-east-1.amazonaws.com/111122223333/tasks")
        environment |= {"HASH_KEY": HASH_KEY, "HOOK_SECRET": f"whsec_{encoded(b'k' * 32)}"}
        parse(whole, page.name, environment)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_metrics_that_are_named_exist(page):
    """Each metric of a page is declared."""
    series = set(declared())
    known = series | {name.removesuffix("_bucket") for name in series}
    assert set(re.findall(r"\bwatcher_[a-z_]+\b", page.read_text())) <= known


def log_events():
    """The name of each log line that tells of trouble, out of the source, with those that tell of progress."""
    trouble, progress = set(), set()
    for file in (ROOT / "watcher").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and getattr(node.func.value, "id", "") == "log":
                names = {n.value for n in ast.walk(node.args[0]) if isinstance(n, ast.Constant) and isinstance(n.value, str)}
                (progress if node.func.attr == "info" else trouble).update(names)
    return trouble, progress


def test_each_log_line_is_explained():
    """The table of operating.md has every warning and error that the code writes, and nothing that it does not."""
    trouble, progress = log_events()
    listed = {name for row in first_column(OPERATING, "## The log") for name in row}
    assert trouble <= listed
    assert listed <= trouble | progress


def test_each_component_is_explained():
    """The components of /readyz in operating.md are those that the code speaks of."""
    spoken = set()
    for file in (ROOT / "watcher" / "runtime").glob("*.py"):
        text = file.read_text()
        spoken |= set(re.findall(r'health\.(?:good|bad)\("(\w+)"', text))
        spoken |= {f"{name}:NAME" for name in re.findall(r'\(f"(source|sink):\{', text)}
        spoken |= {f"circuit:{name}" for name in NAMES if 'f"circuit:{circuit}"' in text}
        spoken |= {f"quota:{name}" for name in builtin_catalog().quotas if 'f"quota:{quota.name}"' in text}
    assert {name for row in first_column(OPERATING, "## What /readyz says") for name in row} == spoken


def test_each_reason_and_exit_code_is_explained():
    """No reason of a dead letter and no exit code is missing, and none is invented."""
    assert {name for row in first_column(OPERATING, "### Inputs") for name in row} == REASONS
    codes = {value for name, value in vars(exit_codes).items() if name.isupper()}
    assert {int(name) for row in first_column(OPERATING, "## Exit codes") for name in row} == codes


def test_each_section_of_the_configuration_is_shown():
    """Each section has an example in operating.md."""
    shown = {key for text in blocks(OPERATING, "yaml") if isinstance(content := load_yaml(text), dict) for key in content}
    assert shown == set(Settings.model_fields)


def test_the_errors_of_the_architecture_are_those_of_the_code():
    """The table of errors has each class of remote error once."""
    classes = [name for name, value in vars(errors).items() if isinstance(value, type) and issubclass(value, errors.RemoteError)]
    assert [row[0] for row in first_column(ARCHITECTURE, "### Errors")] == [name for name in classes if name != "RemoteError"]


def test_the_layers_of_the_architecture_are_those_that_are_proven():
    """The list of layers is the one of import-linter's contract."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    layers = [layer.replace("watcher.", "") for layer in contracts[0]["layers"]]
    (drawn,) = [text.split("\n") for text in blocks(ARCHITECTURE, "text") if text.startswith("cli\n")]
    assert [line for line in drawn if line] == layers


def test_the_figures_of_the_readme_are_those_of_the_benchmarks():
    """Each ratio that the README quotes stands in the table that its command writes."""
    tables = (ROOT / "docs" / "benchmarks.md").read_text()
    quoted = [row for row in (ROOT / "README.md").read_text().splitlines() if "make bench ONLY=" in row]
    assert len(quoted) >= 3
    for row in quoted:
        name = re.search(r"ONLY=(\w+)", row)[1]
        table = tables.split(f"<!-- begin {name} -->")[1].split(f"<!-- end {name} -->")[0]
        for figure in re.findall(r"\*\*([\d.]+%?)\*\*", row):
            assert re.search(rf"(?<![\d.]){re.escape(figure)}(?![\d])", table), f"{name}: {figure}"
