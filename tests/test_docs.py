"""The documentation is true where a test can tell: commands parse, configurations load, links lead somewhere, tables are complete."""

import base64
import re
import shlex
import tomllib

import pytest
from ruamel.yaml import YAML

from tests.pages import ARCHITECTURE, EXTENDING, OPERATING, PAGES, ROOT, blocks, first_column, prose
from watcher import errors
from watcher.cli import app, exit_codes
from watcher.config import Settings, parse
from watcher.core.intake.submissions import REASONS
from watcher.kinds.catalog import builtin_catalog
from watcher.observe.metrics import Metrics

load_yaml = YAML(typ="safe", pure=True).load

WRITTEN_BY_THE_READER = {
    "watcher/adapters/sinks/unix_socket.py",
    "tests/contracts/test_unix_socket_sink.py",
    "watcher/kinds/builtin/medical-transcription.yaml",
}
"""Files that docs/extending.md asks its reader to create."""

CATALOG = builtin_catalog()
each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))


@each_page
def test_links_lead_to_files_and_headings(page):
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
    """Return the anchor of a heading."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


@each_page
def test_files_that_are_named_exist(page):
    """Each path in backticks exists, seen from the root of the repository, from the package, or from config/deploy."""
    named = re.findall(r"`((?:\.?[\w-]+/)+[\w.*-]*|Makefile|Dockerfile|pyproject\.toml)`", page.read_text())
    places = (ROOT, ROOT / "watcher", ROOT / "watcher" / "adapters", ROOT / "config" / "deploy", ROOT / ".venv")
    ours = re.compile(r"(watcher|tests|docs|config|requirements|\.ci|core|runtime|adapters|aws|sources|sinks|stores|api|cli|kinds|iam)/")
    for name in named:
        if (ours.match(name) or "/" not in name) and name not in WRITTEN_BY_THE_READER:
            assert any(list(place.glob(name.rstrip("/"))) for place in places), name


def command_lines(text):
    """Yield the arguments of each call of `watcher` in a block of commands."""
    for line in re.sub(r"\\\n\s*", " ", text).splitlines():
        words = shlex.split(line.removeprefix("$ ").replace("…", "..."), comments=True)
        calls = [[]]
        for word in words:
            calls.append([]) if word in ("|", "&&", "||", ";", "&", ">", ">>") else calls[-1].append(word.rstrip(";"))
        for call in calls:
            while call and re.fullmatch(r"[A-Z_]+=.*|docker|exec|\$", call[0]):
                call.pop(0)
            if call and call[0] in ("watcher", ".venv/bin/watcher"):
                yield call[1:]


def command(arguments):
    """Parse the arguments and return the command that they name. Runs nothing; raises what the parser raises."""
    at, rest = app, list(arguments)
    context = at.context_class(at, info_name=at.name, **at.context_settings)
    while hasattr(at, "commands") and rest and rest[0] in at.commands:
        at = at.commands[rest.pop(0)]
        context = at.context_class(at, parent=context, info_name=at.name)  # without its parent, the command would lose `-h` for later tests
    given, left, _ = at.make_parser(context).parse_args(rest)
    assert not left, left
    missing = [p.name for p in at.params if p.required and (not isinstance(value := given.get(p.name), str | tuple) or not value)]
    if not ({"help", "version"} & set(given)) and not hasattr(at, "commands"):
        assert not missing, missing
    return at


@each_page
def test_commands_parse(page):
    """Each command line of a page has a known command, known options, and all required arguments."""
    for block in blocks(page, "console", "bash", "sh"):
        for call in command_lines(block):
            command(call)


def test_wrong_commands_do_not_parse():
    """The parser of these tests rejects an unknown option, a missing argument and an unknown command."""
    for line in ("watcher run --nope", "watcher explain", "watcher sing"):
        (call,) = command_lines(line)
        with pytest.raises(Exception, match=r"nope|key|sing"):
            command(call)


@pytest.mark.parametrize("page", [page for page in PAGES if page != EXTENDING], ids=lambda page: str(page.relative_to(ROOT)))
def test_configurations_load(page):
    """Each YAML snippet is an alert rule that ships, or a valid configuration, with a source and a sink added where it has none."""
    rules = [r for group in load_yaml((ROOT / "config/deploy/alerts.yaml").read_text())["groups"] for r in group["rules"]]
    for text in blocks(page, "yaml"):
        content = load_yaml(text)
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
        environment |= {"HASH_KEY": "k" * 32, "HOOK_SECRET": f"whsec_{base64.b64encode(b'k' * 32).decode()}"}
        parse(whole, page.name, environment)


def declared_metrics():
    """Return the names of all metrics of the watcher, as in a scrape."""
    families = [family for family in Metrics(CATALOG).registry.collect() if family.name.startswith("watcher_")]
    return {family.name + ("_total" if family.type == "counter" else "") for family in families}


@each_page
def test_metrics_that_are_named_exist(page):
    """Each metric that a page names is declared."""
    assert set(re.findall(r"\bwatcher_[a-z_]+\b", page.read_text())) <= declared_metrics()


def test_each_metric_is_explained():
    """The table of operating.md lists exactly the metrics of the watcher."""
    assert {name for row in first_column(OPERATING, "## Metrics and alerts") for name in row} == declared_metrics()


def test_each_component_that_is_always_listed_is_explained():
    """The table of components lists the quotas and the circuits of the default kind's service; others come with tasks."""
    service = CATALOG.default.service
    expected = {f"quota:{kind.quota.name}" for kind in CATALOG if kind.service == service}
    expected |= {f"circuit:{name}:{service}" for name in ("outage", "unreadable", "not_found")}
    assert expected <= {name for row in first_column(OPERATING, "## Readiness") for name in row}


def test_each_reason_and_exit_code_is_explained():
    """The tables of operating.md list exactly the reasons of dead letters and the exit codes."""
    assert {name for row in first_column(OPERATING, "### Inputs") for name in row} == REASONS
    codes = {value for name, value in vars(exit_codes).items() if name.isupper()}
    assert {int(name) for row in first_column(OPERATING, "## Exit codes") for name in row} == codes


def test_each_section_of_the_configuration_is_shown():
    """Each section of the configuration has an example in operating.md."""
    shown = {key for text in blocks(OPERATING, "yaml") if isinstance(content := load_yaml(text), dict) for key in content}
    assert shown == set(Settings.model_fields)


def test_the_errors_of_the_architecture_are_those_of_the_code():
    """The table of errors lists each class of remote error once."""
    classes = [name for name, value in vars(errors).items() if isinstance(value, type) and issubclass(value, errors.RemoteError)]
    assert [row[0] for row in first_column(ARCHITECTURE, "### Errors")] == [name for name in classes if name != "RemoteError"]


def test_the_layers_of_the_architecture_are_those_of_the_contract():
    """The list of layers is the one that import-linter checks."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    layers = [layer.replace("watcher.", "") for layer in contracts[0]["layers"]]
    (drawn,) = [text.split("\n") for text in blocks(ARCHITECTURE, "text") if text.startswith("cli\n")]
    assert [line for line in drawn if line] == layers


def test_the_figures_of_the_readme_are_those_of_the_benchmarks():
    """Each ratio that the README quotes is in the table that its command writes."""
    tables = (ROOT / "docs" / "benchmarks.md").read_text()
    quoted = [row for row in (ROOT / "README.md").read_text().splitlines() if "make bench ONLY=" in row]
    assert len(quoted) >= 2
    for row in quoted:
        name = re.search(r"ONLY=(\w+)", row)[1]
        table = tables.split(f"<!-- begin {name} -->")[1].split(f"<!-- end {name} -->")[0]
        for figure in re.findall(r"\*\*([\d.]+%?)\*\*", row):
            assert re.search(rf"(?<![\d.]){re.escape(figure)}(?![\d])", table), f"{name}: {figure}"
