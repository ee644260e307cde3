# Revline. `make demo` and `make test` do all their own set-up; they need Python 3.11 and make, nothing else.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
TESTS ?= tests
WORKERS ?= 3
CHAOS_SEEDS ?= 25
SIM_SECONDS ?= 45

# Tests start many processes; without compiled modules every start would take a third longer.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help demo test test-rest test-beside test-ui chaos sim sim-defects lint format lock docs site schemas migration clean

help: ## what can be made
	@grep -hE '^[a-z-]+:.*##' Makefile | sed 's/:.*##/ —/' | sort

$(READY): requirements/development.txt pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "Revline needs Python 3.11 or newer")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements/development.txt
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	touch $(READY)

demo: $(READY) ## a month from quote to cash: Salesforce and Stripe into NetSuite and a real Tryton, and back
	$(BIN)/revline demo

# Side by side: neither part keeps two processors busy alone. What is said beside is shown when it ends.
test: $(READY) ## every test that runs in minutes
	$(MAKE) --no-print-directory --jobs 2 test-beside test-rest

test-rest: $(READY)
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadgroup --ignore tests/ui $(TESTS)

test-beside: $(READY)
	mkdir -p build
	{ $(MAKE) --no-print-directory test-ui && $(MAKE) --no-print-directory sim; } > build/test-beside.log 2>&1; \
		code=$$?; cat build/test-beside.log; exit $$code

# A process of their own: the browser's library keeps an event loop running, beside which no other test could run one.
test-ui: $(READY) ## the console in a browser (needs Debian's chromium)
	$(BIN)/python -m pytest tests/ui

chaos: $(READY) ## two workers killed, stopped and cut off (CHAOS_SEEDS=25: each ERP, each fault), the month's books judged; prints a table
	$(BIN)/python -m tests.chaos --seeds $(CHAOS_SEEDS)

sim: $(READY) ## new simulated worlds for SIM_SECONDS=45; prints the seed it began with
	$(BIN)/revline sim --seeds 100000 --seconds $(SIM_SECONDS)

sim-defects: $(READY) ## plants every defect in turn, lives worlds until one finds it, writes the table of docs/reliability.md
	$(BIN)/python -m tests.sim --write

lint: $(READY) ## ruff, mypy, import-linter, deptry and the lints of our own
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
	$(BIN)/deptry src
	$(BIN)/python -m tools.lint_tenancy src

format: $(READY) ## write what ruff would
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

lock: $(READY) ## pin every requirement with its hashes (no addresses)
	$(BIN)/pip-compile --quiet --generate-hashes --no-emit-index-url --no-emit-trusted-host --no-emit-options --no-header \
		--allow-unsafe --strip-extras --extra salesforce --extra s3 --extra kafka -o requirements/runtime.txt pyproject.toml
	$(BIN)/pip-compile --quiet --generate-hashes --no-emit-index-url --no-emit-trusted-host --no-emit-options --no-header \
		--allow-unsafe --strip-extras --extra development -o requirements/development.txt pyproject.toml

docs: $(READY) ## write the reference pages that are made from the code
	$(BIN)/python -m tools.generate_reference

site: $(READY) ## build the documentation site into build/site; a warning is an error
	$(BIN)/sphinx-build -q -W --keep-going -n -c tools/docs -d build/doctrees -b html docs build/site

schemas: $(READY) ## write the JSON Schemas of objects and events
	$(BIN)/python -c 'from pathlib import Path; from revline.platform.schemas.files import generate; generate(Path("schemas"))'

migration: $(READY) ## write the first revision's frozen SQL anew from the declared tables (until it is released)
	PYTHONPATH=. $(BIN)/python -m revline.platform.store.schema \
		$$(PYTHONPATH=. $(BIN)/python -c 'from tests.databases import table_modules; print(*table_modules())') > build-schema.sql
	mv build-schema.sql src/revline/platform/store/migrations/0001_spine.sql

clean: ## remove what was made, not what was installed
	rm -rf build dist .mypy_cache .ruff_cache .hypothesis .import_linter_cache
