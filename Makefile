# Everything installs what it needs by itself: a .venv here and, where we are root
# on Debian, the system packages in tests/packages.txt.
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --quiet --disable-pip-version-check

.DEFAULT_GOAL := help
.PHONY: help demo test check bench format clean

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1\t\2/p' $(MAKEFILE_LIST) | expand -t 12

$(VENV)/run: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(PIP) install -e .
	@touch $@

$(VENV)/test: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(PIP) install -e '.[test]'
	@touch $@ $(VENV)/run

$(VENV)/bench: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(PIP) install -e '.[bench,test]'
	@touch $@ $(VENV)/run $(VENV)/test

demo: $(VENV)/run ## install the reference cluster with seven simulated machines, in a lab of its own
	@tests/install-packages demo
	@$(BIN)/ocp-appliance demo

test: $(VENV)/test ## install what the tests need, and run all of them
	@tests/install-packages test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/pytest $(PYTEST_ARGS)

check: $(VENV)/test ## the quick loop: ruff, mypy, unit, property, golden, fuzz and repository tests
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/pytest -q -m "not slow" tests/unit tests/property tests/golden tests/fuzz tests/repo

bench: $(VENV)/bench ## measure beside BIND, dnsmasq, NSD, Knot, Kea, dhcpd, tftpd-hpa and nginx
	@tests/install-packages bench
	$(BIN)/python -m tests.bench $(BENCH)

format: $(VENV)/test ## format the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean: ## remove what the other targets made
	rm -rf $(VENV) dist build .mypy_cache .pytest_cache .ruff_cache .hypothesis tests/artifacts
