# `make` lists the targets. Every target sets up what it needs; nothing is installed outside .venv.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
# The release whose CPU build needs no CUDA packages; machines with an NVIDIA GPU take the default.
TORCH  := torch==2.13.0
JOBS   ?= 2

.DEFAULT_GOAL := help
.PHONY: help setup demo test check format docs clean

help: ## List the targets
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

setup: $(VENV)/ready ## Make .venv with everything (the CPU build of torch where there is no NVIDIA GPU)

$(VENV)/ready: pyproject.toml scripts/setup.sh
	PYTHON=$(PYTHON) VENV=$(VENV) TORCH=$(TORCH) bash scripts/setup.sh
	@touch $@

demo: setup ## Fine-tune, prune, quantize and bench a real BERT on real text (minutes, on two cores)
	PATH="$(CURDIR)/$(BIN):$$PATH" bash scripts/demo.sh demo

test: setup ## Run the tests
	$(BIN)/python -m pytest -n $(JOBS)

check: setup ## Check style, types and layers
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

format: setup ## Format the code
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

docs: setup ## Write the manual again from the commands' own --help
	$(BIN)/python scripts/manual.py

clean: ## Remove .venv, caches and the demo's output
	rm -rf $(VENV) demo .mypy_cache .ruff_cache .pytest_cache
