#!/bin/sh
# Creates .venv and installs locked packages and the watcher into it, called by the Makefile from the root of the checkout:
#
#     sh requirements/install.sh runtime   what the watcher needs, what builds it, and the watcher, editable
#     sh requirements/install.sh dev       the tools for tests and checks, beside the above
#     sh requirements/install.sh checks    the tools that check config/deploy, into build/checks, an environment of their own
#     sh requirements/install.sh apicheck  the tools that check the HTTP API, into build/apicheck, likewise
#
# uv does the work; it is installed with pip first, pinned by requirements/installer.lock. Where there is no uv for the platform, or uv fails,
# pip installs the same locks. INSTALLER=pip starts with pip. PYTHON names the interpreter that creates .venv.
set -eu

python=${PYTHON:-python3}
installer=${INSTALLER:-uv}
log=.venv/installer.log
target=.venv

say() {
  echo "setup: $*"
}

fail() {
  echo "setup: $*" >&2
  exit 1
}

pip() {
  .venv/bin/python -m pip --disable-pip-version-check --quiet --quiet "$@"
}

create_venv() {
  if .venv/bin/python -c 'import pip' 2>/dev/null; then
    return
  fi
  version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null) ||
    fail "cannot run $python; name Python 3.11 or later: make PYTHON=python3.x"
  "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
    fail "Python 3.11 or later is needed, $python is $version; name another: make PYTHON=python3.x"
  "$python" -c 'import ensurepip, venv' 2>/dev/null ||
    fail "$python cannot create a virtual environment; install its venv module (Debian: apt-get install python$version-venv)"
  say "creating .venv with Python $version"
  if .venv/bin/python -c '' 2>/dev/null; then
    "$python" -m venv .venv # without pip so far
  else
    "$python" -m venv --clear .venv # new, or its interpreter is gone
  fi
}

# uv does not read the configuration of pip, where a machine may name its own package index.
use_index_of_pip() {
  index=$(.venv/bin/python -m pip config list | sed -nE "s/^(:env:|global)\.index-url='(.*)'$/\2/p" | head -n 1)
  if [ -n "$index" ] && [ -z "${UV_DEFAULT_INDEX:-}${UV_INDEX_URL:-}" ]; then
    export UV_DEFAULT_INDEX="$index"
  fi
}

prepare_uv() {
  if pip install --require-hashes --only-binary :all: -r requirements/installer.lock >"$log" 2>&1; then
    use_index_of_pip
  else
    use_pip "uv cannot be installed"
  fi
}

use_pip() {
  installer=pip
  say "$1 (see $log); using pip"
}

# Takes what uv and pip understand alike.
install() {
  if [ "$installer" = uv ]; then
    if .venv/bin/uv pip install --quiet --python "$target/bin/python" "$@" 2>"$log"; then
      return
    fi
    use_pip "uv failed"
  fi
  pip --python "$target/bin/python" install "$@"
}

case $installer in
  uv | pip) ;;
  *) fail "expected INSTALLER=uv or INSTALLER=pip, got \"$installer\"" ;;
esac
create_venv
if [ "$installer" = uv ]; then
  prepare_uv
fi
case $1 in
  runtime)
    say "installing the runtime with $installer (requirements/runtime.lock)"
    # The first start would compile on one core; this uses all, as pip always compiles. For the developer tools it would take longer than it saves.
    export UV_COMPILE_BYTECODE=1
    install --require-hashes -r requirements/runtime.lock -r requirements/build.lock
    install --no-deps --no-build-isolation -e .
    ;;
  dev)
    say "installing the developer tools with $installer (requirements/dev.lock)"
    install --require-hashes -r requirements/dev.lock
    ;;
  checks)
    say "installing the tools that check config/deploy with $installer (requirements/checks.lock)"
    target=build/checks
    .venv/bin/python -m venv --clear --without-pip "$target"
    install --require-hashes -r requirements/checks.lock
    ;;
  apicheck)
    say "installing the tools that check the HTTP API with $installer (requirements/apicheck.lock)"
    target=build/apicheck
    .venv/bin/python -m venv --clear --without-pip "$target"
    install --require-hashes -r requirements/apicheck.lock
    ;;
  *) fail "expected runtime, dev, checks, or apicheck, got \"$1\"" ;;
esac
