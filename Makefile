# Two commands set everything up on a machine that has Python 3.11+, make and git:
#   make quickstart   the whole path on phantoms with lesion pairs, then a sheet of the release, and a CycleGAN from training to benchmark
#   make test         the tests; make test-slow runs those that take long
# make docs builds the documentation site into build/docs.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: quickstart test test-slow lint types docs pythons clean

quickstart: $(READY)
	$(BIN)/covid-synth quickstart --out quickstart

test: $(READY)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist worksteal -m "not slow"

# Killed processes, simulations, the wheel in an empty environment, the real sets where they are.
test-slow: $(READY)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist worksteal -m slow

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(READY)
	$(BIN)/mypy

# Without a network. A dead link or a malformed docstring is an error.
docs: $(READY)
	$(BIN)/sphinx-build --quiet --fail-on-warning --keep-going --nitpicky -b html docs build/docs

# The light tests on every other Python that is on this machine; installs the core dependencies for each.
pythons: $(READY)
	PATH="$(abspath $(BIN)):$$PATH" .ci/pythons

# The environment is built again whenever what it is built from changes.
$(READY): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade uv
	$(BIN)/uv pip install --quiet --python $(BIN)/python --constraint constraints.txt --group dev --group docs --editable ".[all]"
	touch $(READY)

clean:
	rm -rf $(VENV) quickstart build runs .pytest_cache .mypy_cache .ruff_cache
