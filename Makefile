# Everything works from a fresh clone; `make` alone lists the targets.
# The environment in .venv is made when it is missing, and again when what it is made from has changed.

.DEFAULT_GOAL := help
.NOTPARALLEL:
.SUFFIXES:

VENV  := .venv
STAMP := $(VENV)/installed

# Variables for the command line: make run PORT=8081, make test ARGS="-k signature", make matrix ARGS="3.2 fab",
# make run PYTHON=python3.12
PORT ?= 8080
ARGS ?=
WORKERS ?= 3
PYTEST = $(VENV)/bin/pytest -n $(WORKERS)
export PORT PYTHON
# Images of Python often set it; compiling Airflow each time is half of the start of every process.
unexport PYTHONDONTWRITEBYTECODE

# An environment that was copied here from another folder would run that folder's code: make it again.
ifneq ($(shell cat $(STAMP) 2>/dev/null),$(CURDIR))
.PHONY: $(STAMP)
endif

.PHONY: help run check-run test test-all matrix chaos soak fuzz lint bench dist lock system clean

help: ## Show this list
	@echo 'make TARGET, where TARGET is one of'
	@sed -n 's/^\([a-z-]*\):[^#]*## \(.*\)/  \1|\2/p' $(firstword $(MAKEFILE_LIST)) | awk -F '|' '{ printf "%-8s %s\n", $$1, $$2 }'

run: check-run $(STAMP) ## Start Airflow with the plugin and send it an example webhook (PORT=8080)
	@exec $(VENV)/bin/python dev/run.py

# What would stop `run` is reported before anything is installed.
check-run:
	@python=$$(sh dev/python.sh) && exec "$$python" dev/run.py --check

test: $(STAMP) system ## Test every promise in minutes (ARGS="-k name" for some tests, WORKERS=0 for one process)
	@RECORDING=part exec $(PYTEST) -m 'not long' $(ARGS)

test-all: $(STAMP) system ## Run all tests, with many examples: every input, all chaos, Celery, the whole documentation
	@exec $(PYTEST) --hypothesis-profile thorough $(ARGS)

matrix: $(STAMP) system ## Run the core of the tests on Airflow 3.2 and 3.3 with each auth manager and database
	@exec $(VENV)/bin/python dev/matrix.py $(ARGS)

lint: $(STAMP) ## Check style (ruff), types (mypy), and that tests can fail
	@$(VENV)/bin/ruff check .
	@$(VENV)/bin/ruff format --check .
	@$(VENV)/bin/mypy
	@$(VENV)/bin/python dev/check_tests.py

bench: $(STAMP) system ## Measure the README's figures (ARGS="--against REV" compares with a commit)
	@exec $(VENV)/bin/python -m benchmarks $(ARGS)

chaos: $(STAMP) system ## Kill all at random, see that nothing is lost (SEED=… repeats a run, SECONDS=… lengthens it)
	@CHAOS_SEED=$(SEED) CHAOS_SECONDS=$(SECONDS) exec $(VENV)/bin/pytest -s -m long tests/acceptance/chaos $(ARGS)

soak: $(STAMP) system ## See that nothing grows in half an hour of work (SECONDS=… for another time)
	@exec $(VENV)/bin/python -m benchmarks.soak $(if $(SECONDS),--seconds $(SECONDS)) $(ARGS)

fuzz: $(STAMP) ## Try random templates, schemas, bodies and definitions (SEED=… repeats, SECONDS=… in all)
	@exec $(VENV)/bin/python -m tests.fuzz $(if $(SECONDS),--seconds $(SECONDS)) $(if $(SEED),--seed $(SEED)) $(ARGS)

dist: $(STAMP) ## Build wheel and sdist in dist/
	@sh dev/dist.sh $(VENV)

lock: $(STAMP) ## Write the locks of both Airflows again (ARGS=--upgrade for newer versions)
	@sh dev/lock.sh $(ARGS)

clean: ## Remove the environments, the local Airflow and all caches
	rm -rf $(VENV) .matrix .bench .airflow .pytest_cache .mypy_cache .ruff_cache .hypothesis .schemathesis build dist
	find . -name __pycache__ -prune -exec rm -rf {} +
	rm -rf plugins/*.egg-info

# The servers, the browser and the checks of docker/ that tests run.
system:
	@sh dev/install_system.sh postgresql pgbouncer redis-server chromium nginx-light docker-compose

$(STAMP): constraints.txt setup.cfg pyproject.toml
	@sh dev/install.sh $(VENV)
