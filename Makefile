# Needs Python 3.11 or newer, make and a package registry. `make demo` and `make test` do all of the set-up, once.

PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && exit; done; echo python3)
DEMO ?= examples/proposal_desk/demo.py
AGENTDOJO ?= examples.agentdojo_banking
WORKERS ?= 2
MATRIX ?= --pairs 200
PART ?= 1

VENV := .venv
GUARDS := presidio guardrails nemo
PY := $(VENV)/bin/python
DOJO := .venv-agentdojo
PEERS := .venv-peers
LOCK := .venv-lock
PIP := -m pip --quiet --quiet --disable-pip-version-check --no-input
TYPED := src/flyball benchmarks $(wildcard examples) typing_tests/positive

.PHONY: demo test matrix check lint types typing layers house promises histories wheel agentdojo guards phoenix bench lock format clean help
.DEFAULT_GOAL := help

help:
	@echo "make demo       set up and run the proposal desk"
	@echo "make test       set up and run the tests, with coverage"
	@echo "make matrix     every fault at every point, deaths in recovery and pairs by a seed; every way to change a log;"
	@echo "                prints tables (PART=10: every tenth edit and byte of a log)"
	@echo "make check      lint, format, types, negative typing tests, layers, house rules (make -k check: all of them)"
	@echo "make wheel      build the wheel, install it outside the repository, run the demo with it"
	@echo "make agentdojo  the banking suite of AgentDojo through the governed path, in an environment of its own"
	@echo "make guards     the guards of foreign libraries against the real ones, each in an environment of its own"
	@echo "make phoenix    the demo's spans in a real Phoenix, in an environment of its own (600 MB)"
	@echo "make bench      what everything costs, beside DBOS and LangGraph, which get an environment of their own;"
	@echo "                QUICK=1: a minute instead of six; python -m benchmarks.NAME: one section"
	@echo "make promises   write into docs/promises.md which tests hold each promise"
	@echo "make histories  record the golden histories of the coming version again: a diff shows what changed"
	@echo "make format     what ruff can repair by itself"
	@echo "make lock       compile requirements/*.txt anew"
	@echo "make clean      remove everything that make made"
	@echo "PYTHON=python3.12 chooses the interpreter of a new environment."

demo: $(VENV)/.runtime
	@$(PY) $(DEMO)

test: $(VENV)/.dev
	@$(PY) -m pytest -n $(WORKERS) -m "not slow" --timeout 120 --cov --cov-report term

matrix: $(VENV)/.dev
	@$(PY) -m flyball.testing.simulation $(MATRIX)
	@$(PY) -m pytest -n $(WORKERS) -q -m "slow" tests/faults tests/simulation
	@$(PY) -m tests.tamper --part $(PART)

check: lint types typing layers house

lint: $(VENV)/.dev
	@$(PY) -m ruff check --quiet --output-format concise
	@$(PY) -m ruff format --check

types: $(VENV)/.dev
	@$(PY) -m mypy $(TYPED)
	@$(PY) -m pyright

typing: $(VENV)/.dev
	@$(PY) typing_tests/run.py

layers: $(VENV)/.dev
	@$(VENV)/bin/lint-imports --no-logo

house: $(VENV)/.dev
	@$(PY) -m pytest -q -m "not slow" tests/house

promises: $(VENV)/.dev
	@$(PY) -m tests.house.promises

histories: $(VENV)/.dev
	@$(PY) -m tests.histories

format: $(VENV)/.dev
	@$(PY) -m ruff check --fix --quiet --output-format concise
	@$(PY) -m ruff format

wheel: $(VENV)/.dev
	@rm -rf dist
	@$(PY) -m build -qq --no-isolation .
	@outside=$$(mktemp -d) && trap 'rm -rf "$$outside"' EXIT \
	&& $(PY) -m venv "$$outside/venv" \
	&& "$$outside/venv/bin/python" $(PIP) install --require-hashes -r requirements/runtime.txt \
	&& "$$outside/venv/bin/python" $(PIP) install --no-deps dist/*.whl \
	&& cp -R examples "$$outside/examples" && cd "$$outside" \
	&& venv/bin/flyball --version && venv/bin/python $(DEMO)

agentdojo: $(DOJO)/.installed
	@$(DOJO)/bin/python -m $(AGENTDOJO)

guards: $(GUARDS:%=.venv-%/.installed)
	@for g in $(GUARDS); do \
		.venv-$$g/bin/python -m pytest --noconftest -q -W ignore -rs tests/adapters/test_guard_libraries.py || exit 1; done

phoenix: $(VENV)/.dev .venv-phoenix/.installed
	@$(PY) -m tests.adapters.phoenix .venv-phoenix/bin/phoenix

bench: $(VENV)/.dev $(PEERS)/.installed
	@$(PY) -m benchmarks --json bench.json $(if $(QUICK),--quick)

lock:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' || { echo "lock with the oldest supported Python: make lock PYTHON=python3.11" >&2; exit 1; }
	@test -d $(LOCK) || { $(PYTHON) -m venv $(LOCK) && $(LOCK)/bin/python $(PIP) install "pip-tools>=7.4" hatchling editables; }
	@$(compile) --output-file requirements/runtime.txt pyproject.toml requirements/runtime.in
	@$(compile) --output-file requirements/dev.txt --extra dev --constraint requirements/runtime.txt pyproject.toml requirements/runtime.in
	@$(compile) --output-file requirements/agentdojo.txt --extra agentdojo --constraint requirements/runtime.txt pyproject.toml requirements/runtime.in
	@$(compile) --output-file requirements/peers.txt requirements/peers.in

clean:
	@rm -rf $(VENV) $(DOJO) $(PEERS) $(GUARDS:%=.venv-%) .venv-phoenix $(LOCK) .bench bench.json dist .coverage .coverage.* .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

# set-up: each step leaves a stamp, so it is done once and again when what it read has changed --------------------------

$(VENV)/.made $(DOJO)/.made $(PEERS)/.made:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed; name it: make PYTHON=/path/to/python $(MAKECMDGOALS)" >&2; exit 1; }
	@echo "setting up $(@D) (once)"
	@$(PYTHON) -m venv $(@D) || { echo "$(PYTHON) cannot make environments; on Debian and Ubuntu: apt install python3-venv" >&2; exit 1; }
	@touch $@

$(VENV)/.runtime: $(VENV)/.made requirements/runtime.txt pyproject.toml
	@$(PY) $(PIP) install --require-hashes -r requirements/runtime.txt
	@$(PY) $(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/.dev: $(VENV)/.runtime requirements/dev.txt
	@$(PY) $(PIP) install --require-hashes -r requirements/dev.txt
	@touch $@

$(DOJO)/.installed: $(DOJO)/.made requirements/agentdojo.txt pyproject.toml
	@$(DOJO)/bin/python $(PIP) install --require-hashes -r requirements/agentdojo.txt
	@$(DOJO)/bin/python $(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@

.venv-%/.installed: pyproject.toml
	@test -d $(@D) || { echo "setting up $(@D) (once)"; $(PYTHON) -m venv $(@D); }
	@$(@D)/bin/python $(PIP) install --editable ".[$*]" pytest pytest-asyncio
	@touch $@

$(PEERS)/.installed: $(PEERS)/.made requirements/peers.txt
	@$(PEERS)/bin/python $(PIP) install --require-hashes -r requirements/peers.txt
	@touch $@

# Neither index nor local folder may end up in a file that other machines read.
compile = $(LOCK)/bin/pip-compile --quiet --upgrade --generate-hashes --strip-extras --no-build-isolation \
	--no-emit-index-url --no-emit-find-links --no-emit-trusted-host --no-emit-options
