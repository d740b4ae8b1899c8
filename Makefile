# Start with `make demo`. No target needs anything to be run before it.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: setup demo test test-all lint docs

setup: .venv/installed

# Rebuilt only when the pins change.
.venv/installed: requirements.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Graft needs Python 3.11 or newer")'
	$(PYTHON) -m venv --clear .venv
	$(BIN)/pip install --quiet --disable-pip-version-check -r requirements.txt
	touch $@

# If stopped, the same command continues it; once finished, it only shows the results.
demo: setup
	$(BIN)/snakemake --profile profiles/local --configfile config/demo.yaml --quiet rules host || \
		{ $(BIN)/python -m graft status demo; exit 1; }
	$(BIN)/python -m graft show demo

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/snakefmt --check Snakefile rules workflow
	$(BIN)/snakemake --lint
	$(BIN)/lint-imports
	$(BIN)/mypy

# First the references that are generated from the code and committed, then all pages as a site in site/, which is not.
# Does not depend on `setup`, which would rebuild an environment that this checkout only borrows. Not --quiet, under which
# --strict finds nothing.
docs:
	$(BIN)/python -m graft.cli.references
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict

PYTEST := $(BIN)/python -m pytest -q --numprocesses 2 --dist loadgroup --no-loadscope-reorder

# Minutes: all tests not marked slow.
test: setup lint
	$(PYTEST) --durations 10 -m 'not slow and not environments'

# Everything, with the coverage of graft/ by the tests' own processes; jobs and commands are not measured.
test-all: setup lint
	$(PYTEST) -rs --durations 25 --cov --cov-report=term:skip-covered
