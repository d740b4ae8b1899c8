# Two commands to start: `make setup` and `make test`.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: setup test lint

setup: .venv/installed

# Made anew when the pins change, and only then.
.venv/installed: requirements.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Graft needs Python 3.11 or newer")'
	$(PYTHON) -m venv --clear .venv
	$(BIN)/pip install --quiet --disable-pip-version-check -r requirements.txt
	touch $@

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/snakefmt --check Snakefile rules
	$(BIN)/snakemake --lint

test: setup lint
	$(BIN)/python -m pytest -q
