# Each target installs what it needs: a .venv in this directory and, for root on
# Debian, the system packages in tests/packages.txt.
SHELL := /bin/bash
# The first Python that is new enough: python3 is 3.9 on RHEL 9.
NEW_ENOUGH := -c 'import sys; sys.exit(sys.version_info < (3, 11))'
PYTHON ?= $(or $(shell for each in python3 python3.13 python3.12 python3.11; do \
	$$each $(NEW_ENOUGH) 2>/dev/null && echo $$each && break; done),python3)
FUZZ_SECONDS ?= 3600
# The tests that need neither a network of their own nor a browser or a virtual machine.
QUIET := tests/unit tests/property tests/golden tests/fuzz tests/repo
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --quiet --disable-pip-version-check

.DEFAULT_GOAL := help
.PHONY: help demo test check fuzz bench format clean

help: ## list these targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1\t\2/p' $(MAKEFILE_LIST) | expand -t 12

define make_venv
@$(PYTHON) $(NEW_ENOUGH) || \
	{ echo "$(PYTHON) is older than 3.11; install a newer one (dnf install python3.11), or name it: PYTHON=…" >&2; exit 1; }
@$(PYTHON) -c 'import ensurepip' 2>/dev/null || tests/install-packages venv
@$(PYTHON) -c 'import ensurepip' 2>/dev/null || \
	{ echo "$(PYTHON) cannot make virtual environments; install python3-venv (as root: apt-get install python3-venv)" >&2; exit 1; }
@$(PYTHON) -m venv $(VENV)
endef

# The files $(VENV)/run, test and bench mark which extras of pyproject.toml are installed;
# when it changes, they are older, and the next target installs again.
$(VENV)/run: pyproject.toml
	$(make_venv)
	$(PIP) install -e .
	@touch $@

$(VENV)/test: pyproject.toml
	$(make_venv)
	$(PIP) install -e '.[test]'
	@touch $@ $(VENV)/run

$(VENV)/bench: pyproject.toml
	$(make_venv)
	$(PIP) install -e '.[bench,test]'
	@touch $@ $(VENV)/run $(VENV)/test

demo: $(VENV)/run ## install a cluster of seven simulated machines, in a network of its own
	@tests/install-packages demo || echo "continuing without these packages"
	@$(BIN)/ocp-appliance demo

test: $(VENV)/test ## run all tests (45 minutes)
	@tests/install-packages test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	@# pytest exits with 5 where PYTEST_ARGS selects no test.
	@# By file, so that what a file makes once for its tests, such as the wheel, is not made twice.
	$(BIN)/pytest --no-fold-skipped -n 2 --dist loadfile $(QUIET) $(PYTEST_ARGS) || [ $$? -eq 5 ]
	@# These measure, or wait for what others send, so that one runs at a time.
	$(BIN)/pytest --no-fold-skipped $(patsubst %,--ignore=%,$(QUIET) tests/vm) $(PYTEST_ARGS) || [ $$? -eq 5 ]
	@# A virtual machine keeps one processor busy, so that two files run at a time.
	$(BIN)/pytest --no-fold-skipped -n 2 --dist loadfile tests/vm $(PYTEST_ARGS) || [ $$? -eq 5 ]

check: $(VENV)/test ## run ruff, mypy and the quick tests (1 minute)
	@tests/install-packages check
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/pytest -q -n auto -m "not slow" $(QUIET)

fuzz: $(VENV)/test ## run each fuzzer for FUZZ_SECONDS (3600)
	@tests/install-packages check
	FUZZ_SECONDS=$(FUZZ_SECONDS) $(BIN)/pytest -s -m slow -k full --timeout=0 tests/fuzz

bench: $(VENV)/bench ## compare speed with BIND, dnsmasq, NSD, Knot, Kea, dhcpd, tftpd-hpa and nginx (20 minutes; BENCH=--quick: 3)
	@tests/install-packages bench
	$(BIN)/python -m tests.bench $(BENCH)

format: $(VENV)/test ## format the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean: ## remove what the other targets have made
	rm -rf $(VENV) dist build .mypy_cache .pytest_cache .ruff_cache .hypothesis tests/artifacts
