# `make demo` and `make test` do all the set-up they need; a second call starts in seconds.
PYTHON ?= python3
# TORCH=cpu takes the small CPU build on Linux machines without an NVIDIA card (190 MB instead of 2.5 GB).
TORCH ?= default
# Processes that share the tests; each starts servers of its own.
PROCESSES ?= 3
VENV := .venv
BIN := $(VENV)/bin

TORCH_INDEX_cpu := --extra-index-url https://download.pytorch.org/whl/cpu
ifeq ($(filter $(TORCH),default cpu),)
$(error TORCH=$(TORCH) is not known: use TORCH=cpu, or leave it out)
endif
PIP_INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt $(TORCH_INDEX_$(TORCH))

.PHONY: demo serve test services services-stop lint types check oracle-table parity-table clients-table page-pictures \
	demo-models clean help

help:
	@echo "make demo    serve the bundled demo models on port 8009"
	@echo "make serve   serve the real catalogue"
	@echo "make test    run the whole test suite"
	@echo "make services       install what is missing of Redis, RabbitMQ, PostgreSQL, Chromium and Node, and start private servers"
	@echo "make services-stop  stop those"
	@echo "make check   lint, import contracts and types"
	@echo "make oracle-table  compare every algorithm with LyCORIS and PEFT"
	@echo "make parity-table  compare pictures of every scheduler with diffusers"
	@echo "make clients-table  run the tests of other programs' clients and tell in docs/clients.md what they showed"
	@echo "make page-pictures  photograph the page for the README"
	@echo "Add TORCH=cpu on a Linux machine without an NVIDIA card."

demo: $(VENV)/.installed
	@$(BIN)/ecurie serve --demo

serve: $(VENV)/.installed
	@$(BIN)/ecurie serve

test: $(VENV)/.installed-dev
	@$(BIN)/python -m pytest -n $(PROCESSES) --dist worksteal

services:
	@scripts/services.sh install
	@scripts/services.sh start

services-stop:
	@scripts/services.sh stop

check: lint types

lint: $(VENV)/.installed-dev
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/lint-imports

types: $(VENV)/.installed-dev
	@$(BIN)/mypy

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Écurie needs Python 3.11 or newer: make $(MAKECMDGOALS) PYTHON=python3.11"; exit 1; }
	@echo "making the virtual environment $(VENV)"
	@$(PYTHON) -m venv $(VENV) || \
		{ echo "on Debian and Ubuntu: apt install python3-venv"; rm -rf $(VENV); exit 1; }

$(VENV)/.installed: pyproject.toml constraints.txt | $(BIN)/python
	@echo "installing the pinned packages (PyTorch is the large one)"
	@$(PIP_INSTALL) -e .
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	@echo "installing the test tools"
	@$(PIP_INSTALL) -e '.[dev]'
	@touch $@

oracle-table: $(VENV)/.installed-dev
	@$(BIN)/python -m bench.oracle_table

page-pictures: $(VENV)/.installed-dev
	@ECURIE_PAGE_PICTURES=docs/pictures $(BIN)/python -m pytest -q tests/browser/test_pictures.py tests/browser/test_gallery_pictures.py

parity-table: $(VENV)/.installed-dev
	@$(BIN)/python -m bench.parity

clients-table: $(VENV)/.installed-dev
	@$(BIN)/python -m tests.clients.table

demo-models: $(VENV)/.installed-dev
	@$(PIP_INSTALL) -e '.[train]'
	@$(BIN)/python -m demo.train
	@$(BIN)/python -m demo.train_pony
	@$(BIN)/python -m demo.train_adapters
	@$(BIN)/python -m demo.train_ip_adapter
	@$(BIN)/python -m demo.card

clean: services-stop
	rm -rf $(VENV) build .services
