# `make demo` and `make test` need Python 3.11, 3.12 or 3.13 with venv, and nothing else installed.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Written last: a .venv without it, or made in another folder, is half made and is made anew.
STAMP := $(VENV)/made-for-choreo
MADE_HERE := $(shell [ "$$(cat $(STAMP) 2>/dev/null)" = "$(CURDIR)" ] && $(BIN)/python -c '' && echo yes)

SUPPORTED := import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))

.DEFAULT_GOAL := help
.PHONY: help setup test demo pack lint format clean always

help:  ## List what make can do
	@sed -n 's/^\([a-z]*\):.*##/  make \1\t/p' Makefile | expand -t 16

setup: $(STAMP)  ## Make .venv, or bring it up to date

$(STAMP): pyproject.toml constraints.txt $(if $(MADE_HERE),,always)
	@$(PYTHON) -c '$(SUPPORTED)' 2>/dev/null || { \
	  echo "error: $(PYTHON) is $$($(PYTHON) --version 2>/dev/null || echo 'not a Python that runs');" \
	    "Choreo needs Python 3.11, 3.12 or 3.13. Name one: make PYTHON=python3.12 ..." >&2; exit 2; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
	  echo "error: $(PYTHON) has no venv; on Debian: apt-get install python3-venv" >&2; exit 2; }
	rm -f $(STAMP)
	$(if $(MADE_HERE),,rm -rf $(VENV) && $(PYTHON) -m venv $(VENV))
	$(BIN)/python -m pip install -q --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@# A no-op but on Python 3.13; see dm_control in pyproject.toml.
	$(BIN)/python -m pip install -q --disable-pip-version-check -c constraints.txt --no-deps dm_control
	@echo "$(CURDIR)" > $(STAMP)

test: setup  ## Run the tests on two processes (within 10 minutes)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2

demo: setup  ## Learn skills, show them, adapt them to a task (15 minutes at most)
	$(BIN)/choreo demo

# The new pack is whole before the old one goes; `choreo pack` leaves nothing half made.
pack: setup  ## Put an agent into packs/: make pack RUN=runs/walker NAME=walker [OPTIONS='...']
	@test -n "$(RUN)" && test -n "$(NAME)" || { \
	  echo "error: make pack RUN=runs/walker NAME=walker" >&2; exit 2; }
	rm -rf packs/.new && $(BIN)/choreo pack "$(RUN)" packs/.new/"$(NAME)" $(OPTIONS)
	rm -rf packs/"$(NAME)" && mv packs/.new/"$(NAME)" packs/"$(NAME)" && rmdir packs/.new

lint: setup  ## Check style, format and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright

format: setup  ## Put the code into its format
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:  ## Remove .venv and what the tools left
	rm -rf $(VENV) .pytest_cache .ruff_cache .hypothesis *.egg-info build dist
