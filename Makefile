# Every command a person needs. `make help` lists them.
.DEFAULT_GOAL := help
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
MAKEFLAGS += --no-print-directory

PYTHON ?= $(shell command -v python3.13 || echo python3)
export PYTHONPATH := functions:layers/headwater:.
export PIP_DISABLE_PIP_VERSION_CHECK := 1
BIN := .venv/bin

.PHONY: help demo up down test check unit stack simulate contracts orphans republish bench latency scale cost pins clean

help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-10s %s\n", $$1, $$2}'

demo: setup ## set up, deploy to this machine, open a stream at each provider, show the events
	@$(BIN)/python -m local demo

up: setup ## start and deploy in the background; addresses are then in .local/stack.json
	@$(BIN)/python -m local up

down: ## stop everything that `make demo` or `make up` started
	@if [ -x $(BIN)/python ]; then $(BIN)/python -m local down; else echo "Nothing was ever started here."; fi

test: setup check unit stack ## everything, on a fresh machine too

check: .venv/ready .venv-deploy/ready ## format, lint, types, the template
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy functions layers/headwater/headwater bench local tools tests
	$(BIN)/cfn-lint template.yaml
	SAM_CLI_TELEMETRY=0 .venv-deploy/bin/sam validate --lint

unit: setup ## every suite but the deployed stack's
	$(BIN)/pytest tests --ignore tests/stack -n 2 --dist loadfile -q

stack: setup ## the deployed system, over real HTTP
	$(BIN)/pytest tests/stack -v

simulate: .venv/ready ## one seed of the simulation, step by step: RUN='keyed 7'
	@$(BIN)/python -m tests.simulation $(RUN)

contracts: .venv/ready ## write the generated files anew: event schemas, capabilities
	$(BIN)/python -m local.generate

orphans: .venv/ready ## show what is at the providers without a record, changing nothing: STACK=headwater, or the local cloud
	@$(BIN)/python -m tools.orphans "$(STACK)"

republish: .venv/ready ## put recorded events on the bus again: STACK=headwater SINCE=2026-11-20T08:00:00Z
	@$(BIN)/python -m tools.republish "$(STACK)" "$(SINCE)"

bench: ## what starts and creates cost, beside other ways to write them: BEFORE=3f8ad88 ROUNDS=3 ONLY='raw boto_min'
	@command -v valgrind >/dev/null || { \
	  echo "The benchmark counts instructions with valgrind, which is not installed here:"; \
	  echo "  Debian, Ubuntu:        apt-get install valgrind"; \
	  echo "  Fedora, Amazon Linux:  dnf install valgrind"; \
	  echo "  macOS:                 run it in a Linux container"; exit 1; }
	@$(MAKE) setup
	@$(MAKE) -s .venv-bench/ready
	@$(BIN)/python -m bench $(if $(ROUNDS),--rounds $(ROUNDS)) $(if $(ONLY),--only $(ONLY)) $(if $(BEFORE),--before $(BEFORE))

latency: setup ## how long an event takes from its stream's commit to a subscriber, in a local cloud of its own: CREATES=60
	@$(BIN)/python -m bench.latency $(if $(CREATES),--creates $(CREATES))

scale: .venv/ready .venv-emulator/ready ## what grows with the table and what is full first: SIZES='100 1000', or up to a million
	@$(BIN)/python -m bench.scale $(if $(SIZES),--sizes $(SIZES))

cost: .venv/ready ## dollars per thousand streams, and a month of the idle stack: GIVEN='--provider-ms 500 --alarms'
	@$(BIN)/python -m bench.cost $(GIVEN)

# -- four environments, since the tools pin different versions of the same packages

.PHONY: setup environments
environments: .venv/ready .venv-deploy/ready .venv-emulator/ready

setup:
	@if ! $(MAKE) -q environments; then \
	  printf '▸ installing the tools (once, about a minute) '; begun=$$SECONDS; \
	  (while sleep 5; do printf .; done) & dots=$$!; trap "kill $$dots" EXIT; \
	  $(MAKE) -s -j 3 environments; \
	  printf ' %s s\n' $$((SECONDS - begun)); \
	fi

.venv/ready: requirements/dev.txt
.venv-deploy/ready: requirements/deploy.txt
.venv-emulator/ready: requirements/emulator.txt
.venv-bench/ready: requirements/bench.txt

.venv/ready .venv-deploy/ready .venv-emulator/ready .venv-bench/ready:
	@$(PYTHON) -m venv --clear $(@D)
	@$(@D)/bin/pip install -qq --require-hashes --only-binary :all: -r $<
	@touch $@

pins: .venv/ready ## pin the newest versions of everything, with hashes
	@$(PYTHON) -m venv .local/pins && .local/pins/bin/pip install --quiet uv
	cd requirements; \
	compile="../.local/pins/bin/uv pip compile -q --upgrade --generate-hashes --no-emit-index-url --no-header \
	  --python-version 3.13 --python-platform linux"; \
	$$compile runtime.in -o ../layers/dependencies/requirements.txt; \
	$$compile jwt.in -o ../layers/dependencies/requirements-jwt.txt; \
	$$compile dev.in -o dev.txt; \
	$$compile deploy.in -o deploy.txt; \
	$$compile emulator.in -o emulator.txt; \
	$$compile bench.in -o bench.txt

clean: down ## also remove what was built and installed
	rm -rf .aws-sam .local .venv .venv-deploy .venv-emulator .venv-bench .mypy_cache .pytest_cache .ruff_cache .hypothesis
