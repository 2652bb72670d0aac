# Every target sets up what it lacks. Start with `make demo` or `make test`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.DEFAULT_GOAL := help
.PHONY: help setup demo test check unit simulate bench lock clean

help:  ## Show the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

setup: $(STAMP)  ## Make the virtual environment and build the kernels

$(STAMP): requirements.lock pyproject.toml setup.py $(wildcard src/ext/*.pyx)
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	touch $@

demo: $(STAMP)  ## Trade three symbols on the simulated exchange, with a live table
	$(BIN)/gridkeeper demo

test: check  ## Everything: style, types, layers, unit, integration and end-to-end tests
	$(BIN)/pytest tests/unit tests/integration --numprocesses 2 --dist loadfile
	$(BIN)/pytest tests/e2e

check: $(STAMP)  ## Style, types and layers
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	MYPYPATH=src:tests:benchmarks $(BIN)/mypy -p simulation
	MYPYPATH=src:tests:benchmarks $(BIN)/mypy benchmarks
	$(BIN)/lint-imports
	$(BIN)/stubtest ext._ladder ext._engine

unit: $(STAMP)  ## The quick tests
	$(BIN)/pytest tests/unit

SEEDS ?= 1000
FIRST_SEED ?= 1
simulate: $(STAMP)  ## Run the shard through SEEDS simulated runs full of faults, from FIRST_SEED on
	PYTHONPATH=tests $(BIN)/python -m simulation --seeds $(SEEDS) --first-seed $(FIRST_SEED)

bench: $(STAMP)  ## Measure, as ratios against baselines of the same run
	$(BIN)/python benchmarks/run.py

lock: $(STAMP)  ## Resolve the dependencies anew
	$(BIN)/python -m pip install --quiet uv
	$(BIN)/uv pip compile --quiet --universal --generate-hashes --python-version 3.11 \
		--no-annotate --no-header --no-emit-index-url --no-emit-find-links \
		pyproject.toml --group dev -o requirements.lock

clean:  ## Remove what was built, but no data
	rm -rf $(VENV) build *.egg-info src/*.egg-info src/ext/*.so .mypy_cache .ruff_cache .pytest_cache
