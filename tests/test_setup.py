"""The set-up of a checkout: what the locks hold, and which installer the script chooses."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
REQUIREMENTS = ROOT / "requirements"
LOCKS = sorted(path.stem for path in REQUIREMENTS.glob("*.lock"))
PIN = re.compile(r"(?P<pin>[\w.-]+==[\w.+!-]+)( ; [^:/]+?)?\s+(--hash=sha256:[0-9a-f]{64}\s*)+")

PYTHON = """#!/bin/sh
echo "python $*" >>calls
case "$*" in
  *installer.lock*) exit "${UV_MISSING:-0}" ;;
  *"config list"*) if [ -n "${PIP_INDEX:-}" ]; then echo "global.index-url='$PIP_INDEX'"; fi ;;
esac
"""
UV = """#!/bin/sh
echo "uv index=${UV_DEFAULT_INDEX:-} $*" >>calls
echo "cannot reach the index" >&2
exit "${UV_FAILS:-0}"
"""


def pins(name: str) -> set[str]:
    """The pins of one lock, each `name==version`; fails on a line of another form."""
    lines = (REQUIREMENTS / f"{name}.lock").read_text().replace("\\\n", "").splitlines()
    matches = {line[:80]: PIN.fullmatch(line) for line in lines}
    assert [line for line, match in matches.items() if not match] == []
    return {match["pin"] for match in matches.values() if match}


@pytest.mark.parametrize("name", LOCKS)
def test_locks_hold_pins_with_hashes_and_no_index(name):
    """Each requirement of a lock has one version and its hashes, and no lock names a package index or a host."""
    assert pins(name)


@pytest.mark.parametrize("name", ["runtime", "build"])
def test_runtime_and_build_use_the_versions_of_the_tests(name):
    """Each pin of the runtime and of the build is a pin of the environment in which the tests run."""
    assert pins(name) <= pins("dev")


def install(directory: Path, what: str, **environ: str) -> tuple[str, list[str]]:
    """Run the script in `directory` with a Python and a uv that only record how they are called: its output, and the calls."""
    binaries = directory / ".venv" / "bin"
    binaries.mkdir(parents=True)
    for name, script in {"python": PYTHON, "uv": UV}.items():
        (binaries / name).write_text(script)
        (binaries / name).chmod(0o755)
    inherited = {key: value for key, value in os.environ.items() if not key.startswith(("UV_", "PIP_", "INSTALLER"))}
    done = subprocess.run(
        ["/bin/sh", REQUIREMENTS / "install.sh", what], cwd=directory, env=inherited | environ, text=True, capture_output=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout, (directory / "calls").read_text().splitlines()


def by_pip(calls: list[str]) -> list[str]:
    """The arguments of each `pip install`, without those for uv itself."""
    return [call.split(" install ", 1)[1] for call in calls if " -m pip " in call and " install " in call and "installer.lock" not in call]


def by_uv(calls: list[str]) -> list[str]:
    return [call for call in calls if call.startswith("uv ")]


def test_uv_installs_the_runtime(tmp_path):
    """With uv, pip installs uv from its lock and nothing else, and the script prints one line."""
    output, calls = install(tmp_path, "runtime")
    assert output == "setup: installing the runtime with uv (requirements/runtime.lock)\n"
    assert [call.split("bin/python ", 1)[1] for call in by_uv(calls)] == [
        "--require-hashes -r requirements/runtime.lock -r requirements/build.lock",
        "--no-deps --no-build-isolation -e .",
    ]
    assert by_pip(calls) == []


def test_without_uv_pip_installs_the_runtime(tmp_path):
    """Where uv cannot be installed, pip installs the same locks, and one line says why."""
    output, calls = install(tmp_path, "runtime", UV_MISSING="1")
    assert output.splitlines() == [
        "setup: uv cannot be installed (see .venv/installer.log); using pip",
        "setup: installing the runtime with pip (requirements/runtime.lock)",
    ]
    assert by_uv(calls) == []
    assert by_pip(calls) == [
        "--require-hashes -r requirements/runtime.lock -r requirements/build.lock",
        "--no-deps --no-build-isolation -e .",
    ]


def test_where_uv_fails_pip_takes_over(tmp_path):
    """After one failure of uv, pip installs that set and the rest; the log keeps the error of uv."""
    output, calls = install(tmp_path, "runtime", UV_FAILS="2")
    assert output.splitlines() == [
        "setup: installing the runtime with uv (requirements/runtime.lock)",
        "setup: uv failed (see .venv/installer.log); using pip",
    ]
    assert len(by_uv(calls)) == 1
    assert len(by_pip(calls)) == 2
    assert (tmp_path / ".venv" / "installer.log").read_text() == "cannot reach the index\n"


def test_installer_pip_never_calls_uv(tmp_path):
    """INSTALLER=pip installs the developer tools without installing or calling uv."""
    output, calls = install(tmp_path, "dev", INSTALLER="pip")
    assert output == "setup: installing the developer tools with pip (requirements/dev.lock)\n"
    assert by_uv(calls) == [call for call in calls if "installer.lock" in call] == []
    assert by_pip(calls) == ["--require-hashes -r requirements/dev.lock"]


@pytest.mark.parametrize(
    ("environ", "index"),
    [
        ({}, ""),
        ({"PIP_INDEX": "https://pip.example/simple"}, "https://pip.example/simple"),
        ({"PIP_INDEX": "https://pip.example/simple", "UV_DEFAULT_INDEX": "https://uv.example/simple"}, "https://uv.example/simple"),
    ],
    ids=["none", "of pip", "of uv"],
)
def test_uv_uses_the_index_of_pip(tmp_path, environ, index):
    """uv gets the package index that pip is configured with, unless uv has one of its own, and no output names it."""
    output, calls = install(tmp_path, "dev", **environ)
    assert [call.split()[1] for call in by_uv(calls)] == [f"index={index}"]
    assert "example" not in output


APT = """#!/bin/sh
echo "apt-get $*" >>calls
echo "reading package lists"
if [ "$1$2" = "-qqinstall" ] && [ -e lists ]; then cp program bin/promtool; cp program bin/prometheus; exit 0; fi
if [ "$1$2" = "-qqupdate" ] && [ -n "$REACHABLE" ]; then touch lists; exit 0; fi
echo "cannot find prometheus" >&2
exit 100
"""


INSTALL = ("/bin/sh", ROOT / ".ci" / "install", "prometheus", "promtool", "prometheus")


def install_prometheus(directory: Path, user: str, reachable: str = "") -> subprocess.CompletedProcess[str]:
    """Run the script with nothing on PATH but an apt-get that needs an update first, for a user of this id."""
    binaries = directory / "bin"
    binaries.mkdir()
    for name in ("cat", "cp", "mktemp", "rm", "sh", "touch"):
        (binaries / name).symlink_to(str(shutil.which(name)))
    for name, script in {"apt-get": APT, "id": f"#!/bin/sh\necho {user}\n"}.items():
        (binaries / name).write_text(script)
        (binaries / name).chmod(0o755)
    (directory / "program").write_text("#!/bin/sh\n")
    (directory / "program").chmod(0o755)
    environ = {"PATH": str(binaries), "REACHABLE": reachable}
    return subprocess.run(INSTALL, cwd=directory, env=environ, text=True, capture_output=True, check=False)


def test_ci_installs_prometheus_quietly_as_root(tmp_path: Path) -> None:
    """As root, CI installs Prometheus, with new lists of packages where it needs them, and prints one line; the next run prints none."""
    done = install_prometheus(tmp_path, "0", reachable="yes")
    assert (done.returncode, done.stdout, done.stderr) == (0, "ci: installing prometheus with apt-get\n", "")
    again = subprocess.run(INSTALL, env={"PATH": str(tmp_path / "bin")}, capture_output=True, check=False)
    assert (again.returncode, again.stdout, again.stderr) == (0, b"", b"")


@pytest.mark.parametrize(("user", "said"), [("0", "cannot find prometheus"), ("1000", "")])
def test_ci_fails_clearly_without_prometheus(tmp_path: Path, user: str, said: str) -> None:
    """Where Prometheus cannot be installed, CI ends with what is missing and what to do, after the output of apt-get if it was called."""
    done = install_prometheus(tmp_path, user)
    assert done.returncode == 1
    assert said in done.stderr
    assert done.stderr.endswith("one of these is missing: promtool prometheus; install them (Debian: apt-get install prometheus)\n")
    assert (tmp_path / "calls").exists() == (user == "0")
