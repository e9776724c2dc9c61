# `make` prints this help. The first target that needs it sets everything up in .venv: Python 3.11 and make are enough.
.DEFAULT_GOAL := help
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
  $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo $$p; break; }; done)
BIN := .venv/bin
ARGS ?=
# Each worker starts servers of its own, for about 0.7 GB; most of a test is waiting.
WORKERS ?= 2

.PHONY: help set-up demo test nightly torture torture-report judges pgtap lint format generate verify bench up down clean

help: ## this help
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo; echo "  ARGS='...' is passed on, as in: make test ARGS='tests/unit -x'"

set-up: ## .venv with everything uv.lock pins (the other targets do it by themselves)
	@test -n "$(PYTHON)" || { echo "set-up: Python 3.11 or newer is needed and was not found." >&2; exit 1; }
	@$(PYTHON) dev/bootstrap.py

demo: set-up ## PostgreSQL, a real Kafka, 1,000 orders from commit to topic; leaves nothing running
	@$(BIN)/pg-tide dev $(ARGS)

test: set-up ## all tests except the nightly ones; the servers come by themselves
	@$(BIN)/python -m pytest -m "not nightly" -n $(WORKERS) --dist loadfile $(ARGS)

nightly: set-up ## the heavy tests and PostgreSQL 16
	@PG_TIDE_TEST_PG=15,16,18 $(BIN)/python -m pytest $(ARGS)

torture: set-up ## random faults over real servers by SEED=1; FAULTS=200, SLICE=1/1 (a part), MINUTES=40 at most
	@CI=true PG_TIDE_TORTURE_SEED=$(or $(SEED),1) PG_TIDE_TORTURE_SLICE=$(or $(SLICE),1/1) PG_TIDE_TORTURE_FAULTS=$(or $(FAULTS),200) \
	  PG_TIDE_TORTURE_DELIVERY=$(or $(DELIVERY),at_least_once) \
	  PG_TIDE_TORTURE_MINUTES=$(or $(MINUTES),40) $(BIN)/python -m pytest tests/torture/test_torture.py -m nightly $(ARGS)

torture-report: set-up ## write what the slices have found into docs/reliability.md
	@PYTHONPATH=tests $(BIN)/python tests/torture/report.py

judges: set-up ## what readers of others make of the records: Java, Node, Flink, ClickHouse; 2 GB, all from packages
	@CI=true $(BIN)/python -m pytest tests/judges --judges-table build/judges.txt $(ARGS)

pgtap: set-up ## the tests of the SQL surface that are written in SQL
	@$(BIN)/python -m pytest tests/sql $(ARGS)

lint: set-up verify ## ruff, mypy, import contracts, squawk, generated files
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/squawk sql/pg_tide_sql/schema/*.sql

format: set-up ## lay out the Python code
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

generate: set-up ## write the generated files: rules of the configuration, the one-file install, the SQL reference
	@$(BIN)/python -m pg_tide_relay.config.generate
	@$(BIN)/python -m pg_tide_relay.install_file
	@$(BIN)/python tests/sql_reference.py

verify: set-up ## fail when a generated file is stale
	@$(BIN)/python -m pg_tide_relay.config.generate --check
	@$(BIN)/python -m pg_tide_relay.install_file --check

bench: set-up ## catch-up speed against a raw producer loop, on real servers
	@$(BIN)/python bench/run.py $(ARGS)

up: set-up ## PostgreSQL 18 and Kafka for work by hand; prints their addresses
	@$(BIN)/python -m pg_tide_dev.hand_work up

down: set-up ## stop what `make up` started
	@$(BIN)/python -m pg_tide_dev.hand_work down

clean: ## remove .venv, caches, downloads and copied programs; stops what `make up` started
	@test ! -x $(BIN)/python || $(BIN)/python -m pg_tide_dev.hand_work clean
	@rm -rf .venv .bootstrap.lock .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache build dist
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
