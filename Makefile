# Everything a developer runs. A comment directly over a target is its help text.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

PYTHON ?= python3
DEMO_ARGS ?=
BENCH_ARGS ?=
CHAOS_ARGS ?=
CHAOS_SCENARIOS ?= S2 S4 S8 S12 S14 S15
PYTEST_ARGS ?=
COVERAGE_TESTS ?= tests/kafka tests/broker tests/agents tests/faults tests/cli tests/ops tests/simulation
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
TREES := $(wildcard streams verifier tests bench tools)

.PHONY: help install demo test lint check format bench guard chaos verify-full report-check coverage lock clean

# show this list
help:
	@awk '/^# / { text = substr($$0, 3); next } /^[a-z-]+:/ { if (text) { sub(/:.*/, ""); printf "  make %-12s %s\n", $$0, text } } { text = "" }' Makefile

# create .venv with every dependency, hashes checked, and the optional system programs
install: $(STAMP)

# its words go to stderr: stdout belongs to the command that asked for it, such as `make demo` with --json
$(STAMP): pyproject.toml requirements/lock.txt tools/system_packages.sh
	@bash tools/check_python.sh "$(PYTHON)" >&2
	@echo "install: virtual environment in $(VENV)" >&2
	@$(PYTHON) -m venv $(VENV)
	@echo "install: $$(grep -c == requirements/lock.txt) packages, about a minute on a fast line" >&2
	@$(BIN)/python -m pip install --disable-pip-version-check --require-hashes -r requirements/lock.txt \
		| awk '/^(Collecting|Requirement already)/ { if (++n % 10 == 0) { print "install:", n, "packages found"; fflush() } } /^Installing/ { print "install: unpacking"; fflush() }' >&2
	@$(BIN)/python -m pip install --disable-pip-version-check --quiet --no-deps --no-build-isolation --editable . >&2
	@bash tools/system_packages.sh >&2
	@touch $(STAMP)
	@echo "install: done; next: make demo" >&2

# bank and shop events become notifications on a real Kafka; options in DEMO_ARGS
demo: $(STAMP)
	@$(BIN)/notifier demo $(DEMO_ARGS)

# every test that CI runs: fast, broker and fault tiers; ends with what was skipped and why
test: $(STAMP)
	@$(BIN)/python -m pytest $(PYTEST_ARGS)

# format, lint, types, import contracts and schemas
lint: $(STAMP)
	@$(BIN)/ruff format --check --quiet --output-format concise . || { echo "check: run 'make format'"; exit 1; }
	@$(BIN)/ruff check --quiet .
	@$(BIN)/mypy $(TREES)
	@$(BIN)/lint-imports --no-logo
	@$(BIN)/notifier schema check

# lint and the fast tests, under a minute
check: lint
	@$(BIN)/python -m pytest --quiet -m "not broker and not faults and not interop and not kernel and not data" $(PYTEST_ARGS)

# rewrite the sources in the one accepted format
format: $(STAMP)
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix-only --quiet .

# throughput, memory and processor time beside a naive agent; options in BENCH_ARGS
bench: $(STAMP)
	@$(BIN)/python -m bench $(BENCH_ARGS)

# fail if the worker has become slower than that of the commit before, within 90 s
guard: $(STAMP)
	@$(BIN)/python -m bench guard --against HEAD~1

# kill, pause and restart workers and broker while events flow, then verify; about 4 minutes
chaos: $(STAMP)
	@$(BIN)/python -m tests.chaos run $(CHAOS_SCENARIOS) --share 0.1 --jobs 2 $(CHAOS_ARGS)

# the same in full, for the report; what has a log already is left out, so it can be stopped and gone on with
verify-full: $(STAMP)
	@code=0; $(BIN)/python -m tests.chaos run --resume --out docs/reliability/logs $(CHAOS_ARGS) || code=1; \
		$(BIN)/python -m tests.chaos report; exit $$code

# count the figures of docs/reliability/report.json again from its logs
report-check: $(STAMP)
	@$(BIN)/python -m tests.chaos check

# branches of streams/kafka that the tests take, in worker processes too: at least 95 in 100; about 25 minutes
coverage: $(STAMP)
	@rm -rf build/coverage && mkdir -p build/coverage
	@$(BIN)/coverage run -m pytest $(COVERAGE_TESTS) $(PYTEST_ARGS)
	@$(BIN)/coverage combine --quiet
	@$(BIN)/coverage report

# pin all dependencies of all extras anew, with hashes and without addresses
lock: $(STAMP)
	@$(BIN)/pip-compile --quiet --all-extras --strip-extras --allow-unsafe --generate-hashes --no-annotate --no-header \
		--no-emit-index-url --no-emit-trusted-host --no-emit-find-links --output-file requirements/lock.txt pyproject.toml

# remove the virtual environment, caches and builds
clean:
	@rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache build dist
	@find $(TREES) -name __pycache__ -prune -exec rm -rf {} +
