# Every target sets up what it needs in .venv; all it asks for is Python 3.11 or newer.

PYTHON ?= $(shell for python in python3 python3.14 python3.13 python3.12 python3.11; do \
	"$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo "$$python" && break; done)

BIN := .venv/bin
RUNTIME := .venv/runtime.stamp
DEV := .venv/dev.stamp
INSTALL = $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable

.DEFAULT_GOAL := help
.PHONY: help demo test long again fast majors lint types docs snapshots recorded screenshots bench map clean

help: ## show this
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/make \1|\2/p' Makefile | awk -F'|' '{ printf "%-18s %s\n", $$1, $$2 }'

demo: $(RUNTIME) ## try dbtend on a sample database; headless where stdout is no terminal
	@$(BIN)/dbtend demo

test: $(DEV) ## run the tests, but for those that take long
	@$(BIN)/python -m pytest -n 5 --dist worksteal -m "not long"

long: $(DEV) ## run the tests that take long: kills at random, every version, full matrices
	@$(BIN)/python -m pytest -n 4 --dist worksteal -m long

again: $(DEV) ## run the tests of both that failed last time, one at a time
	@$(BIN)/python -m pytest --last-failed --last-failed-no-failures none

fast: $(DEV) ## run the tests that need no process, server or screen
	@$(BIN)/python -m pytest -n 2 -m "fast and not long"

majors: $(DEV) ## run the PostgreSQL tests on every version that is found (PGTEST_BIN names more)
	@PGTEST_MAJORS=all $(BIN)/python -m pytest -n 2 tests/engine/targets/postgres tests/tui/commands/test_postgres.py

lint: $(DEV) types ## check style, formatting, types and import contracts
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/lint-imports

types: $(DEV) ## check types
	@$(BIN)/mypy

docs: $(DEV) ## write what docs/ repeats from the code: tables, man page
	@$(BIN)/python -m docs.generator

snapshots: $(DEV) ## accept the current screens
	@$(BIN)/python -m pytest tests/tui --snapshot-update

recorded: $(DEV) ## record what commands print and send to servers, and show each difference
	@$(BIN)/python -m pytest -n 2 --quiet --snapshot-update tests/recorded
	@git --no-pager diff -- tests/recorded

screenshots: $(DEV) ## draw screenshots/ from the real app
	@$(BIN)/python -m screenshots

map: ## list every module and what it is for
	@"$(PYTHON)" -m docs.generator.source_map

bench: $(DEV) ## measure what docs/figures.md says about speed
	@$(BIN)/python -m benchmarks

clean: ## remove everything that was set up or generated
	rm -rf .venv build *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

$(BIN)/python:
	@test -n "$(PYTHON)" && "$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "dbtend needs Python 3.11 or newer: install it, or say where it is: make PYTHON=/path/to/python3"; exit 1; }
	@"$(PYTHON)" -m venv .venv

$(RUNTIME): $(BIN)/python pyproject.toml constraints.txt
	@$(INSTALL) '.[postgres,mysql,duckdb]'
	@touch $@

$(DEV): $(BIN)/python pyproject.toml constraints.txt
	@$(INSTALL) '.[postgres,mysql,duckdb,bundled,notify,dev,bench,screenshots]'
	@touch $@ $(RUNTIME)
