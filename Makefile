# `make` lists what there is. `make demo` and `make test` need nothing before them but Python and make itself.

# The newest of the Pythons that every part runs on; `make PYTHON=... VENV=...` chooses another or another place.
PYTHON ?= $(shell for name in python3 python3.13 python3.12 python3.11; do \
	$$name -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null && echo $$name && break; done)
VENV ?= .venv
BIN = $(VENV)/bin
# Tests start hundreds of processes, and each would compile the project anew where the environment forbids to keep bytecode.
unexport PYTHONDONTWRITEBYTECODE
# Stamps: an install is repeated only when what it depends on has changed.
RUN = $(VENV)/.installed-run
DEV = $(VENV)/.installed-dev
TOOLS = $(VENV)/tools
INSTALL = -m pip install --quiet --disable-pip-version-check
# Nothing is installed but files whose hashes stand in a lock file (deploy/lock), and nothing is built but the project itself,
# which cannot have a hash: it is this checkout. Its build tools are of the lock file, too.
LOCKED = $(INSTALL) --require-hashes --only-binary :all: --requirement
ITSELF = PYTHONWARNINGS="ignore:Editable installation" $(BIN)/python $(INSTALL) --no-deps --no-build-isolation --editable .

.DEFAULT_GOAL := help
.PHONY: help demo up check test coverage lint types format drill fuzz bench compose-check configuration metrics-page lock sbom audit pin-images clean
# a target that fails half-way must not look made
.DELETE_ON_ERROR:

help: ## list these commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' Makefile

demo: $(RUN) ## the whole pipeline against a local Marketing Cloud, on this machine, once through
	$(BIN)/activation demo

up: $(RUN) ## the whole stack in the foreground, until Ctrl-C
	$(BIN)/activation up

test: $(DEV) ## everything that CI checks: format, lint, types, all tests
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -n 4 --dist worksteal -m "not drill"

coverage: $(DEV) ## the same tests with coverage, which makes the unit tests take twice the time
	$(BIN)/python -m pytest -n 4 --dist worksteal -m "not drill" --cov --cov-report=term:skip-covered

check: $(DEV) ## the inner loop, about a minute: format, lint, types, unit tests
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -q -n 2 --dist worksteal tests/unit

lint: $(DEV) ## ruff: format and rules
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types: $(DEV) ## mypy, strict
	$(BIN)/mypy

format: $(DEV) ## put the code into its format, mend what can be mended
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

drill: $(DEV) ## the long fault drills: processes killed, Redis restarted, outages
	$(BIN)/python -m pytest -m drill tests

fuzz: $(DEV) ## the long form of tests/fuzz: more than ten thousand made-up profiles, files, answers, messages, command lines
	$(BIN)/python -m pytest -n 2 --dist worksteal --hypothesis-profile=fuzz tests/fuzz

bench: $(DEV) ## benchmarks; prints its figures
	$(BIN)/python -m tests.benchmarks

compose-check: ## build the image and run docker-compose.yml for real (needs Docker or Podman)
	deploy/compose-check

configuration: $(RUN) ## make docs/configuration.md anew from app/settings.py
	$(BIN)/python -m app.settings > docs/configuration.md.new
	mv docs/configuration.md.new docs/configuration.md

metrics-page: $(RUN) ## make docs/metrics.md anew from app/reporting/metric_names.py
	$(BIN)/python -m app.reporting.metric_names > docs/metrics.md.new
	mv docs/metrics.md.new docs/metrics.md

lock: $(TOOLS)/.installed ## make the lock files anew, with the newest versions that pyproject.toml allows
	deploy/lock $(TOOLS)/bin/uv

sbom: $(TOOLS)/.installed ## list all that the image installs, in sbom.cdx.json (CycloneDX)
	deploy/sbom $(TOOLS)/bin sbom.cdx.json

audit: $(TOOLS)/.installed ## ask for known vulnerabilities of all that is locked, and say so if nobody could be asked
	deploy/audit $(TOOLS)/bin/pip-audit

pin-images: ## write the present digests of the base images into Dockerfile and docker-compose.yml (needs skopeo or Docker)
	deploy/pin-images

clean: ## remove the virtual environment and every cache; .activation, which holds data, stays
	rm -rf $(VENV) build dist sbom.cdx.json *.egg-info .coverage .hypothesis .mypy_cache .pytest_cache .ruff_cache
	find app tasks tests -name __pycache__ -type d -prune -exec rm -rf {} +

$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "Python 3.11, 3.12 or 3.13 is needed, and none is on the PATH." >&2; exit 1; }
	@"$(PYTHON)" -c 'import ensurepip, venv' 2>/dev/null || { \
		echo "$(PYTHON) cannot make virtual environments. On Debian and Ubuntu: apt-get install python3-venv" >&2; exit 1; }
	"$(PYTHON)" -m venv $(VENV)

$(RUN): pyproject.toml deploy/constraints/run.txt | $(BIN)/python
	$(BIN)/python $(LOCKED) deploy/constraints/run.txt
	$(ITSELF)
	@touch $@

# what tests need holds all that a run needs
$(DEV): pyproject.toml constraints.txt | $(BIN)/python
	$(BIN)/python $(LOCKED) constraints.txt
	$(ITSELF)
	@touch $(RUN) $@

# an environment of their own: what looks at the dependencies is none of them
$(TOOLS)/.installed: deploy/constraints/tools.txt | $(BIN)/python
	$(BIN)/python -m venv --clear $(TOOLS)
	$(TOOLS)/bin/python $(LOCKED) deploy/constraints/tools.txt
	@touch $@
