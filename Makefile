# To start: `make demo`. `make setup` and `make test` need nothing else either.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: setup demo test test-all lint docs

setup: .venv/installed

# Made anew when the pins change, and only then.
.venv/installed: requirements.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Graft needs Python 3.11 or newer")'
	$(PYTHON) -m venv --clear .venv
	$(BIN)/pip install --quiet --disable-pip-version-check -r requirements.txt
	touch $@

# Stopped at any moment, it goes on with the same command; finished, it only shows what there is.
demo: setup
	$(BIN)/snakemake --profile profiles/local --configfile config/demo.yaml --quiet rules host || \
		{ $(BIN)/python -m graft status demo; exit 1; }
	$(BIN)/python -m graft show demo

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/snakefmt --check Snakefile rules
	$(BIN)/snakemake --lint
	$(BIN)/lint-imports
	$(BIN)/mypy

# What is generated from the code: docs/methods.md, docs/configuration.md, config/study.schema.json. Not after `setup`,
# which would make anew an environment that this checkout only borrows.
docs:
	$(BIN)/python -m graft.cli.references

PYTEST := $(BIN)/python -m pytest -q --numprocesses 2 --dist loadgroup --no-loadscope-reorder

# Minutes: all but what is marked slow.
test: setup lint
	$(PYTEST) --durations 10 -m 'not slow and not environments'

# Everything, and which lines of graft/ ran, in the tests or in the jobs and commands that they start.
test-all: setup lint
	$(PYTEST) -rs --durations 25 --cov --cov-report=term:skip-covered
