# Everything a fresh machine needs is Python 3.11 or later and make.
PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/pip --quiet --disable-pip-version-check

.PHONY: setup demo test simulate soak check lint types imports bench lock clean

setup: .venv/.ready

.venv/.ready: requirements/dev.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or later is needed: make PYTHON=python3.x ...")'
	@$(PYTHON) -c 'import ensurepip, venv' || { echo "$(PYTHON) cannot make a virtual environment: install its venv module (on Debian python3-venv)" >&2; exit 1; }
	$(PYTHON) -m venv .venv
	$(PIP) install --require-hashes -r requirements/dev.lock
	$(PIP) install --no-deps --no-build-isolation -e .
	touch $@

demo: setup
	$(BIN)/watcher demo

test: setup
	$(BIN)/pytest

# Tables into docs/benchmarks.md; some minutes on two idle cores. `make bench ONLY=lag` for one.
bench: setup
	$(BIN)/python -m tests.benchmarks $(if $(ONLY),--only $(ONLY))

simulate: setup
	$(BIN)/python -m tests.simulation --seeds $(or $(SEEDS),1000)

soak: setup
	$(BIN)/python -m tests.soak --tasks $(or $(TASKS),1000000)

check: lint types imports

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: setup
	$(BIN)/mypy

imports: setup
	$(BIN)/lint-imports

# Pins stay where they are unless something asks for more; `make lock UPGRADE=--upgrade` takes the newest of everything.
# One file serves every Python from 3.11 and every platform. What ships and what builds it is pinned as it was tested: dev.lock leads.
UV := build/uv/bin/uv
COMPILE = $(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --no-emit-index-url

lock:
	$(PYTHON) -m venv build/uv
	build/uv/bin/pip install --quiet --disable-pip-version-check uv==0.13.9
	$(COMPILE) $(UPGRADE) --extra fast --group dev pyproject.toml -o requirements/dev.lock
	$(COMPILE) --constraint requirements/dev.lock --extra fast pyproject.toml -o requirements/runtime.lock
	$(PYTHON) -c 'import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["build-system"]["requires"], sep="\n")' \
	  | $(COMPILE) --constraint requirements/dev.lock - -o requirements/build.lock

clean:
	rm -rf .venv build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
