# What a developer types. Everything runs in .venv, which is made and filled when first needed.

PYTHON ?= python3
BIN := .venv/bin

.DEFAULT_GOAL := help
.PHONY: help demo setup check format test test-slow test-sample test-all test-storage test-properties migration release faults-migrators faults-kills faults-import-kills faults-import faults-jobs optimade-validator test-espresso test-networks test-slurm clean

help: ## List the targets
	@sed -nE 's/^([a-z-]+):[^#]*## (.*)/  make \1\t\2/p' Makefile | expand -t 20

demo: .venv/runtime ## Take real crystals through the whole platform; writes demo/report.html
	@$(BIN)/nano-os demo

setup: .venv/development ## Install the project with everything that development needs

check: .venv/development ## Lint, formatting, types and layers
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

format: .venv/development ## Format the code and repair what lint can repair
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

test: .venv/development ## The fast tests, some twenty minutes on two cores
	$(BIN)/pytest -n 2

test-slow: .venv/development ## The tests that install the project or break it on purpose
	$(BIN)/pytest -n 2 -m slow

test-sample: .venv/development ## The fast tests and a sample of the slow ones, as in CI: others with each commit
	SLOW_SAMPLE=$$(git rev-parse HEAD) $(BIN)/pytest -n 2 -m ''

test-all: .venv/development ## Both
	$(BIN)/pytest -n 2 -m ''

test-storage: .venv/development ## Artifacts by the protocol of S3, and RO-Crates opened by their library; installs both
	$(BIN)/pip install --quiet s3fs 'moto[server]' rocrate
	$(BIN)/pytest -m '' tests/api/test_artifacts.py tests/api/cli/test_results_export.py

test-properties: .venv/development ## Tests of invariants, with 500 examples of most
	PROPERTIES=thorough $(BIN)/pytest -n 2 --timeout 3600 -m '' $$(grep -rl '@given' tests)

migration: .venv/development ## Write a revision from changed models: make migration m="add x to y"
	@test -n "$$m" || { echo 'Say what it does: make migration m="add x to y"' >&2; exit 2; }
	$(BIN)/alembic revision --autogenerate -m "$$m"

release: .venv/development ## Record a filled database of a new revision, for tests/migrations
	tests/migrations/releases/record.sh

test-slurm: .venv/development ## Jobs on a real Slurm, set up here from Debian's packages for as long as it takes
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[dev,cluster]'
	tests/slurm/cluster.sh --install $(BIN)/pytest -m '' tests/api/worker/test_allocations.py

faults-migrators: .venv/development ## 100 rounds of ten migrators at once
	FAULTS=full $(BIN)/pytest -n 2 -m '' tests/faults/test_migrators.py

faults-import-kills: .venv/development ## kill -9 of imports at many moments
	FAULTS=full $(BIN)/pytest -n 2 -m '' tests/faults/test_import_kills.py tests/faults/test_run_import_kills.py

faults-kills: .venv/development ## kill -9 of client and server at many points of every command
	FAULTS=full $(BIN)/pytest -n 2 -m '' tests/faults/test_kills.py

faults-jobs: .venv/development ## kill -9 of workers, engines and the database while 1,000 jobs run
	FAULTS=full $(BIN)/pytest --timeout 3600 -m '' tests/faults/test_job_kills.py tests/api/worker/test_rogue_engines.py

optimade-validator: .venv/development ## The standard's validator against a running server, with ten seeds
	OPTIMADE_SEEDS=10 $(BIN)/pytest -m '' --timeout 1800 tests/api/optimade/test_validator.py

faults-import: .venv/development ## 10,000 damaged files of every format
	FAULTS=full $(BIN)/pytest -n 2 -m '' tests/faults/test_imports.py

test-espresso: .venv/development ## The tests that need Quantum ESPRESSO; on Debian and Ubuntu it is installed
	@command -v pw.x >/dev/null || apt-get install --yes --no-install-recommends \
	  quantum-espresso quantum-espresso-data
	@command -v mpirun >/dev/null || apt-get install --yes --no-install-recommends openmpi-bin
	$(BIN)/pytest -n 2 -m '' -k espresso tests/nanoos tests/docs tests/api/cli tests/api/worker

TORCH ?= torch==2.13.0
NETWORKS := build/networks

test-networks: ## The tests of CHGNet and SevenNet, with PyTorch in an environment of their own
	@test -x $(NETWORKS)/bin/pip || $(PYTHON) -m venv $(NETWORKS)
	$(NETWORKS)/bin/pip install --quiet --disable-pip-version-check $(TORCH)
	$(NETWORKS)/bin/pip install --quiet --disable-pip-version-check --editable '.[dev,chgnet,sevennet]'
	$(NETWORKS)/bin/pytest -m '' -k 'chgnet or sevennet' tests/nanoos/engines

clean: ## Remove .venv, caches and the demo's report; databases stay
	rm -rf .venv build demo .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -prune -exec rm -rf {} +

# An environment in which pip was interrupted may lack files of packages that pip takes for
# installed, so it is made anew.
define install
	@test -x $(BIN)/pip -a ! -e .venv/unfinished || $(MAKE) --no-print-directory new-environment
	@touch .venv/unfinished
	$(BIN)/pip install --quiet --disable-pip-version-check --editable $(1)
	@rm .venv/unfinished
	@touch $@
endef

.venv/runtime: requirements.txt pyproject.toml
	$(call install,.)

.venv/development: requirements.txt pyproject.toml
	$(call install,'.[dev]')
	@touch .venv/runtime

.PHONY: new-environment
new-environment:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo >&2 \
	  "NANO-OS needs Python 3.11 or newer as $(PYTHON); another is named by PYTHON=python3.12."; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { echo >&2 \
	  "$(PYTHON) cannot make virtual environments; on Debian and Ubuntu: apt-get install python3-venv"; exit 1; }
	@echo "Installing into .venv; this takes about a minute, once."
	@$(PYTHON) -m venv --clear .venv
