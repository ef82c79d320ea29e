# A fresh machine needs Python 3.11 or later and make (GNU make 3.81 or later), nothing else.
PYTHON ?= python3
# uv sets up in seconds; with INSTALLER=pip, or where uv cannot be installed, pip does it.
INSTALLER ?= uv
BIN := .venv/bin
# The tests start hundreds of Python processes. Without files of bytecode, each of them compiles the watcher again.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: setup demo test verify long simulate soak check lint types imports dependencies deploy-check api-check sbom bench lock clean

setup: .venv/.dev

# One environment in two steps: the demo needs the first only.
INSTALL := PYTHON="$(PYTHON)" INSTALLER="$(INSTALLER)" sh requirements/install.sh

.venv/.runtime: requirements/runtime.lock requirements/build.lock requirements/installer.lock requirements/install.sh pyproject.toml
	@$(INSTALL) runtime
	@touch $@

.venv/.dev: requirements/dev.lock .venv/.runtime
	@$(INSTALL) dev
	@touch $@

demo: .venv/.runtime
	@echo "demo: starting a simulated service and the watcher"
	@$(BIN)/watcher demo $(DEMO_ARGS)

# One process more than there are cores, because a third of the time goes into waiting. PYTEST_ARGS adds options or names tests: `make test PYTEST_ARGS=tests/core`.
PYTEST := $(BIN)/pytest -n $(or $(WORKERS),$(shell echo $$(($$(getconf _NPROCESSORS_ONLN) + 1))))

test: setup
	@echo "test: the fast tests"
	@$(PYTEST) -m "not slow and not long" $(PYTEST_ARGS)

# `make test verify` runs each test once, too. Many of the slow tests wait for processes, so two more processes than cores.
verify: test
	@echo "verify: the slow tests: sweeps, kills, soak, 40 stories"
	@$(BIN)/pytest -n $(or $(WORKERS),$(shell echo $$(($$(getconf _NPROCESSORS_ONLN) + 2)))) -m slow --stories 40 $(PYTEST_ARGS)

# What costs minutes for each test: the whole story of replicas with default leases, and more stories on PostgreSQL.
long: setup
	@echo "long: the tests that cost minutes"
	@$(PYTEST) -m long $(PYTEST_ARGS)

# Writes the tables of docs/benchmarks.md, in some minutes on two idle cores. `make bench ONLY=lag` for one.
bench: setup
	@echo "bench: $(or $(ONLY),all benchmarks)"
	@$(BIN)/python -m tests.benchmarks $(if $(ONLY),--only $(ONLY))

simulate: setup
	@echo "simulate: $(or $(SEEDS),1000) stories"
	@$(BIN)/python -m tests.simulation --seeds $(or $(SEEDS),1000)

soak: setup
	@echo "soak: $(or $(TASKS),1000000) tasks"
	@$(BIN)/python -m tests.soak --tasks $(or $(TASKS),1000000)

check: lint types imports dependencies

lint: setup
	@echo "lint: ruff, rules and format"
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

types: setup
	@echo "types: mypy, strict"
	@$(BIN)/mypy

imports: setup
	@echo "imports: import-linter"
	@$(BIN)/lint-imports --no-logo

dependencies: setup
	@echo "dependencies: deptry"
	@$(BIN)/deptry watcher

# The tools that read the files of config/deploy, in an environment of their own: they are large, and no test needs them.
CHECKS := build/checks/bin
OLDEST_KUBERNETES := 1.30

build/checks/.installed: requirements/checks.lock | .venv/.runtime
	@$(INSTALL) checks
	@touch $@

deploy-check: setup build/checks/.installed sbom
	@echo "deploy-check: Dockerfile, by hadolint"
	@$(CHECKS)/hadolint Dockerfile
	@echo "deploy-check: compose.yaml, by the schema of the Compose specification"
	@$(CHECKS)/check-jsonschema --builtin-schema vendor.compose-spec config/deploy/compose.yaml
	@echo "deploy-check: CloudFormation, by cfn-lint"
	@$(CHECKS)/cfn-lint config/deploy/cloudformation/*.yaml
	@echo "deploy-check: Kubernetes, by kubernetes-validate and the definitions of the custom resources"
	@rm -rf build/kubernetes && $(BIN)/python -m tests.deploy.kustomize build/kubernetes
	@$(CHECKS)/kubernetes-validate --strict --quiet build/kubernetes/core/*.yaml
	@$(CHECKS)/kubernetes-validate --strict --quiet --kubernetes-version $(OLDEST_KUBERNETES) build/kubernetes/core/*.yaml
	@$(CHECKS)/python tests/deploy/custom_resources.py build/kubernetes/custom/*.yaml

# Thousands of requests to a real watcher, made by schemathesis from the OpenAPI document; API_CHECK_ARGS="--examples 500" for more.
build/apicheck/.installed: requirements/apicheck.lock .venv/.runtime
	@$(INSTALL) apicheck
	@touch $@

api-check: setup build/apicheck/.installed
	@echo "api-check: the OpenAPI document, and requests made from it"
	@$(BIN)/python -m tests.apicheck --tools build/apicheck/bin $(API_CHECK_ARGS)

# A CycloneDX document of what requirements/runtime.lock installs. The same lock gives the same bytes.
sbom: build/checks/.installed
	@echo "sbom: writing build/sbom.cdx.json"
	@PYTHONWARNINGS=ignore $(CHECKS)/cyclonedx-py requirements --pyproject pyproject.toml --output-reproducible --spec-version 1.6 \
	  -o build/sbom.raw.json requirements/runtime.lock
	@$(CHECKS)/python requirements/sbom.py build/sbom.raw.json build/sbom.cdx.json

# A pin stays where it is unless something asks for more; `make lock UPGRADE=--upgrade` takes the newest of everything.
# One file serves every Python from 3.11 and every platform. The image is built and run with the versions of the tests: dev.lock leads.
UV := build/uv/bin/uv
COMPILE := $(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --no-emit-index-url

lock:
	@echo "lock: installing uv (requirements/installer.lock)"
	@$(PYTHON) -m venv build/uv
	@build/uv/bin/pip install --quiet --quiet --disable-pip-version-check --require-hashes -r requirements/installer.lock
	@echo "lock: writing requirements/*.lock"
	@$(COMPILE) $(UPGRADE) --group installer -o requirements/installer.lock
	@$(COMPILE) $(UPGRADE) --extra fast --extra postgres --extra tracing --group dev pyproject.toml -o requirements/dev.lock
	@$(COMPILE) --constraint requirements/dev.lock --extra fast --extra postgres --extra tracing pyproject.toml -o requirements/runtime.lock
	@$(COMPILE) $(UPGRADE) --constraint requirements/dev.lock --group checks -o requirements/checks.lock
	@$(COMPILE) $(UPGRADE) --constraint requirements/dev.lock --group apicheck -o requirements/apicheck.lock
	@$(PYTHON) -c 'import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["build-system"]["requires"], sep="\n")' \
	  | $(COMPILE) --constraint requirements/dev.lock - -o requirements/build.lock

clean:
	@echo "clean: removing .venv, build results and caches"
	@rm -rf .venv build dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
