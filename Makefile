# `make demo` and `make test` are all a newcomer needs; `make help` lists the rest.
#
# Needs: Python 3.11 or newer (PYTHON=... chooses which), make, a C compiler.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

PYTHON ?= python3
VENV := .venv
BENCH_VENV := .venv-bench
FUZZ_VENV := .venv-fuzz
BIN := $(VENV)/bin
SOURCES := gpulockd client/gpulock tests $(wildcard demo bench)
PYTEST_ARGS ?=
# Far above what the suite takes: it ends a run that hangs, it does not hurry a slow machine.
TEST_LIMIT ?= 3600
SECONDS ?= 0
BENCH_ARGS ?=
STORM_ROUNDS ?= 500

.PHONY: help install demo test soak fuzz lint format storm gpu-check bench bench-quick bench-settings wheels constraints \
    screenshots debian-tools clean

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1\t\2/p' $(MAKEFILE_LIST) | expand -t 16

install: $(VENV)/.installed ## create .venv: pinned dependencies, and both distributions in editable form

# What the tests do not need has an environment of its own: who the benchmark compares with, and what fuzzes.
$(VENV)/.installed: constraints.txt
$(BENCH_VENV)/.installed: bench/constraints.txt
$(FUZZ_VENV)/.installed: tests/fuzz/constraints.txt

# Only a pinned artefact whose hash is listed gets in; our own two packages come from this tree. The pins are complete,
# so pip need not follow dependencies: its resolver would look at newer releases of what is required with an extra, and
# refuse them for want of a hash (pypa/pip#9644). That nothing is missing is checked afterwards.
$(VENV)/.installed $(BENCH_VENV)/.installed $(FUZZ_VENV)/.installed: pyproject.toml client/pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	    || { echo "gpulockd needs Python 3.11 or newer; choose one with: make $(MAKECMDGOALS) PYTHON=python3.11" >&2; exit 1; }
	@test -x $(@D)/bin/python || $(PYTHON) -m venv $(@D)
	$(@D)/bin/python -m pip install --disable-pip-version-check --quiet --require-hashes --no-deps \
	    -r $(filter %constraints.txt,$^)
	$(@D)/bin/python -m pip install --disable-pip-version-check --quiet --no-deps --no-build-isolation \
	    -e client -e .
	@$(@D)/bin/python -m pip check --disable-pip-version-check
	@touch $@

demo: install ## the main job in one minute: workers compete, die, time out; the daemon is killed under load
	$(BIN)/python demo/run.py

test: install ## every test; PYTEST_ARGS='-k journal' narrows
	timeout --kill-after=30 $(TEST_LIMIT) $(BIN)/python -m pytest $(PYTEST_ARGS)

soak: install ## simulated worlds from fresh seeds, for SECONDS=... or without end
	$(BIN)/python -m tests.simulation --soak $(SECONDS)

fuzz: $(FUZZ_VENV)/.installed ## hostile bytes that follow the coverage (atheris), each target for SECONDS=... or without end
	$(FUZZ_VENV)/bin/python -m tests.fuzz $(SECONDS)

lint: install ## ruff, strict types, the import arrows of the house, and what the documents say
	$(BIN)/ruff check $(SOURCES)
	$(BIN)/ruff format --check $(SOURCES)
	$(BIN)/mypy $(SOURCES)
	$(BIN)/lint-imports
	$(BIN)/gpulockctl audit --rules audit.yml

format: install ## let ruff format and fix what it can
	$(BIN)/ruff format $(SOURCES)
	$(BIN)/ruff check --fix $(SOURCES)

storm: install ## kill the daemon and workers under load, STORM_ROUNDS times each (500: three minutes), and judge
	@directory=$$(mktemp -d); \
	$(BIN)/python -m tests.faults.storm --workers 50 --gpus 8 --each $(STORM_ROUNDS) --lull 1.5 --seed 2026 --judge \
	    $$directory \
	    && rm -rf $$directory || { echo "the diaries and the daemon's log are in $$directory" >&2; exit 1; }

gpu-check: install ## on a machine with an NVIDIA GPU: the real driver, processes and an orphan
	$(BIN)/python tests/gpu_check.py

bench: $(BENCH_VENV)/.installed ## the lock beside what people would use instead (an hour, on a quiet machine)
	$(BENCH_VENV)/bin/python -m bench $(BENCH_ARGS)

bench-quick: $(BENCH_VENV)/.installed ## two minutes of it, with generous bars; fails where the speed was lost
	$(BENCH_VENV)/bin/python -m bench --quick $(BENCH_ARGS)

bench-settings: install ## polling against the daemon, twice, into docs/ (twenty minutes, on a quiet machine)
	$(BIN)/gpulockctl bench --duration 10m --output docs/settings-benchmark.md
	again=$$(mktemp -d); $(BIN)/gpulockctl bench --duration 10m --seed 2 --output $$again/again.md \
	    && cp $$again/again/figures.json docs/settings-benchmark/again.json; rm -rf $$again

wheels: install ## build both wheels into dist/
	rm -rf dist
	$(BIN)/python -m build --no-isolation --wheel --outdir dist client
	$(BIN)/python -m build --no-isolation --wheel --outdir dist .

# `uv` lives in an environment of its own: it writes the pins, nothing else here uses it.
PIN = .venv-pins/bin/uv pip compile pyproject.toml client/pyproject.toml --universal --python-version 3.11 --upgrade \
    --generate-hashes --no-emit-package gpulock --custom-compile-command 'make constraints' --quiet

constraints: ## pin every dependency anew, with hashes, for Python 3.11 and later
	test -x .venv-pins/bin/uv || { $(PYTHON) -m venv .venv-pins && .venv-pins/bin/python -m pip install --quiet uv; }
	$(PIN) --extra dev --output-file constraints.txt
	$(PIN) bench/requirements.in --constraint constraints.txt --output-file bench/constraints.txt
	$(PIN) tests/fuzz/requirements.in --constraint constraints.txt --output-file tests/fuzz/constraints.txt

screenshots: install ## the pictures of the status page in docs/, by Chromium
	$(BIN)/python -m tests.page.screenshots docs/status-page

debian-tools: ## as root on Debian: what some tests need and skip without, a Debian tree to boot among it
	apt-get update -qq
	DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends systemd debootstrap faketime \
	    chromium fonts-inter
	sh tests/systemd/make-tree.sh
	sh tests/monitoring/unpack-prometheus.sh

clean: ## remove everything that can be made again
	rm -rf $(VENV) $(BENCH_VENV) $(FUZZ_VENV) .fuzz .venv-pins dist build .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis htmlcov .coverage .coverage.*
	find gpulockd client tests $(wildcard demo bench) -name __pycache__ -type d -prune -exec rm -rf {} +
