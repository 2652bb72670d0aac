# Every target sets up what it lacks. Start with `make demo` or `make test`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.DEFAULT_GOAL := help
.PHONY: help setup demo test check unit simulate mutants audit bench lock clean

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
	$(BIN)/pytest tests/unit tests/integration --numprocesses 3 --dist worksteal
	$(BIN)/pytest tests/e2e --numprocesses 3 --dist worksteal

check: $(STAMP)  ## Style, types, layers and insecure calls
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	MYPYPATH=src:tests:benchmarks $(BIN)/mypy -p simulation -p mutants
	MYPYPATH=src:tests:benchmarks $(BIN)/mypy benchmarks
	$(BIN)/lint-imports
	$(BIN)/bandit --quiet --recursive src migrations
	$(BIN)/stubtest ext._ladder ext._engine

unit: $(STAMP)  ## The quick tests
	$(BIN)/pytest tests/unit

SEEDS ?= 1000
FIRST_SEED ?= 1
simulate: $(STAMP)  ## Run the shard through SEEDS simulated runs full of faults, from FIRST_SEED on
	PYTHONPATH=tests $(BIN)/python -m simulation --seeds $(SEEDS) --first-seed $(FIRST_SEED)

mutants: $(STAMP)  ## Break the product on purpose, one bug at a time: the tests must see each
	PYTHONPATH=tests $(BIN)/python -m mutants

AUDIT := $(VENV)/audit
audit: $(STAMP)  ## Look the locked packages up in the index of known vulnerabilities
	@test -x $(AUDIT)/bin/pip-audit || { $(PYTHON) -m venv $(AUDIT) \
		&& $(AUDIT)/bin/python -m pip install --quiet --disable-pip-version-check pip-audit; }
	@rm -f $(AUDIT)/found
	@$(AUDIT)/bin/pip-audit --disable-pip --require-hashes --requirement requirements.lock \
		--progress-spinner off --output $(AUDIT)/found 2>$(AUDIT)/errors \
		&& cat $(AUDIT)/errors || { \
		if test -e $(AUDIT)/found; then cat $(AUDIT)/errors $(AUDIT)/found; \
		else tail -1 $(AUDIT)/errors; echo "NOT AUDITED: the index cannot be reached"; fi; exit 1; }

bench: $(STAMP)  ## Measure, as ratios against baselines of the same run
	$(BIN)/python benchmarks/run.py

lock: $(STAMP)  ## Resolve the dependencies anew
	$(BIN)/python -m pip install --quiet uv
	$(BIN)/uv pip compile --quiet --universal --generate-hashes --python-version 3.11 \
		--no-annotate --no-header --no-emit-index-url --no-emit-find-links \
		pyproject.toml --group dev -o requirements.lock

clean:  ## Remove what was built, but no data
	rm -rf $(VENV) build *.egg-info src/*.egg-info src/ext/*.so .mypy_cache .ruff_cache .pytest_cache
