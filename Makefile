# Two commands are enough on a fresh machine: `make demo` and `make test`. Each sets up .venv from nothing.
# Without make (Windows), the README writes the same out with plain pip.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
PACKAGES := -e '.[dev]' -e ./plugins -e ./export -e ./edge

# NVIDIA's own parser, builder and bindings, so that the export is tested against them without a card (300 MB).
NVIDIA := onnxruntime-ep-nv-tensorrt-rtx-cu13 tensorrt_rtx_cu13_bindings tensorrt_cu13_bindings cuda-bindings cuda-pathfinder

# Micro-Manager's real core with its demo devices. Without what only writes files (tensorstore, s3fs: 200 MB, and s3fs
# wants an older dateutil), so no dependencies but these.
MICROMANAGER := pymmcore-plus pymmcore mm-test-adapters psygnal useq-schema shapely ome-writers pydantic-extra-types

.PHONY: help setup nvidia micromanager demo test test-all lint bench docs clean
.DEFAULT_GOAL := help

help:
	@echo "make demo      simulate six donors, train small, write a report (minutes)"
	@echo "make test      lint and test everything that is fast (under 10 minutes on 2 cores)"
	@echo "make test-all  the slow tests too"
	@echo "make nvidia    add NVIDIA's wheels, so that the tests marked trt_rtx run too (no card needed)"
	@echo "make micromanager  add Micro-Manager's demo devices, so that the tests marked micromanager run too (150 MB)"
	@echo "make bench     measure; results go to benchmarks/results"
	@echo "make docs      write the reference pages from the code"
	@echo "make lint      ruff, mypy --strict, import-linter"

setup: $(READY)

$(READY): constraints.txt pyproject.toml plugins/pyproject.toml export/pyproject.toml edge/pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=python3.12 ...")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt $(PACKAGES)
	@touch $(READY)

nvidia: $(READY)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt --no-deps $(NVIDIA)

micromanager: $(READY)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt --no-deps $(MICROMANAGER)

demo: $(READY)
	$(BIN)/vsf demo demo

# One thread per test process: two processes share the cores better than two thread pools do.
test: lint
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadscope -q

test-all: lint
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadscope -q -m "slow or not slow"

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(READY)
	@mkdir -p benchmarks/results
	for script in benchmarks/[a-z]*.py; do $(BIN)/python $$script --json benchmarks/results/$$(basename $$script .py).json || exit 1; done

docs: $(READY)
	$(BIN)/python docs/reference.py

clean:
	rm -rf $(VENV) demo dist .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
