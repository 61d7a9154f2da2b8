# Everything a person or CI does with Headrace. `make help` lists it.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

# Images often forbid Python to keep what it compiles: each of a dozen processes would compile everything at each start.
unexport PYTHONDONTWRITEBYTECODE

PYTHON ?= python3
BIN := .venv/bin
TEST_FOLDERS := e2e integration contract unit chaos
STAMP := .venv/.synced
# Its library wants other versions than the development tools (docs/decisions/0017).
AIRBYTE := .venv-airbyte
# Two at a time, a file to each, with a stack of its own: most tests wait more than they work. The longest files come first, so that
# both sides end at about the same time. Those of chaos, which kill services under load, run alone: two cores carry one such stack.
SIDE_BY_SIDE := -n 2 --dist loadfile --no-loadscope-reorder

.PHONY: help install up down demo check fmt generate test $(addprefix test-,$(TEST_FOLDERS)) test-airbyte bench chaos clean

help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sort | awk -F ':.*## ' '{printf "  %-18s %s\n", $$1, $$2}'
	@printf '  %-18s %s\n' 'test-<folder>' 'the tests of one folder: $(TEST_FOLDERS)'

install: $(STAMP) ## a virtual environment with the locked dependencies

$(STAMP): pyproject.toml uv.lock
	@deploy/local/prerequisites.sh
	@test -x .tools/bin/uv || { echo "installing uv into .tools"; $(PYTHON) -m venv .tools && .tools/bin/pip install --quiet 'uv>=0.9,<1'; }
	@echo "installing the locked dependencies into .venv"
	@UV_PYTHON_DOWNLOADS=never .tools/bin/uv sync --locked --all-extras --no-extra airbyte --compile-bytecode --quiet --python $(PYTHON)
	@touch $(STAMP)

$(AIRBYTE)/.synced: $(STAMP)
	@echo "installing the extra airbyte, with what its tests need, into $(AIRBYTE)"
	@UV_PYTHON_DOWNLOADS=never UV_PROJECT_ENVIRONMENT=$(AIRBYTE) .tools/bin/uv sync --locked --no-default-groups --group test \
		--extra local --extra airbyte --quiet --python $(PYTHON)
	@touch $@

up: install ## start the local stack: Kafka, registry, warehouse, six services
	@$(BIN)/headrace up

down: install ## stop what `make up` started; data stays
	@$(BIN)/headrace down

demo: install ## the main job on real data: 336,776 flights from a file to the warehouse
	@$(BIN)/headrace demo

check: install ## everything that can be said without running: lint, format, types, layers, generated files, the tests in dataset files
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo 2>/dev/null || $(BIN)/lint-imports
	@$(BIN)/python -m headrace.contract.generate --check
	@$(BIN)/python -m headrace.stream.generate --check
	@$(BIN)/python -m services.gateway.openapi --check
	@$(BIN)/python -m services.gateway.openapi --breaking schemas/openapi-baseline.json
	@$(BIN)/headrace test examples/nyc

fmt: install ## put every file in the house's format
	@$(BIN)/ruff check --fix-only --quiet .
	@$(BIN)/ruff format --quiet .

generate: install ## write the generated files anew: JSON Schema, references, OpenAPI
	@$(BIN)/python -m headrace.contract.generate
	@$(BIN)/python -m headrace.stream.generate
	@$(BIN)/python -m services.gateway.openapi

test: install ## the tests, a short version of the fault matrix among them, on local stacks of their own
	@deploy/local/prerequisites.sh test
	@$(BIN)/pytest $(SIDE_BY_SIDE) $(addprefix tests/,$(filter-out chaos,$(TEST_FOLDERS)))
	@$(MAKE) --no-print-directory test-airbyte
	@$(BIN)/pytest tests/chaos

$(addprefix test-,$(TEST_FOLDERS)): test-%: install
	@$(BIN)/pytest $(if $(filter chaos,$*),,$(SIDE_BY_SIDE)) tests/$*

test-airbyte: $(AIRBYTE)/.synced ## the tests of sources of type airbyte, in an environment of their own
	@$(AIRBYTE)/bin/pytest tests/unit/ingest/test_airbyte.py

chaos: install ## the long fault matrix: 200,000 rows a run, the better part of an hour
	@HEADRACE_TEST_LONG=1 $(BIN)/pytest tests/chaos

bench: install ## measure against others in the same run; writes bench/results.md and .json
	@deploy/local/prerequisites.sh bench
	@$(BIN)/python -m bench

clean: down ## stop the local stack, delete its data and every build product
	@rm -rf .headrace .venv $(AIRBYTE) .tools .mypy_cache .ruff_cache .pytest_cache .hypothesis build dist
