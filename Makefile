# Needs Python 3.11 or newer and make (GNU 3.81 or newer), nothing else. Each target makes .venv on its first use.
#
#   make demo                  five nodes on this machine, and what they see
#   make up ARGS="--name box"  one node
#   make test                  all tests on all cores (JOBS=1), with the coverage that fleet/ and gossip/ must have
#   make test T=tests/fleet    some of them, without it
#   make lint                  ruff, mypy --strict, import contracts
#   make format                lets ruff put the code in shape
#   make sims                  all scenarios with all detectors, three seeds each (SEEDS=0:10 for more), into sims/README.md
#   make lifeguard             the Lifeguard paper's experiments with all detectors, into sims/lifeguard/README.md (SEEDS=0:3)
#   make sweep                 the simulator's catalogue with 20 seeds each, then 2,000 drawn plans (SEEDS=500, JOBS=2)
#   make network               hard scenarios on real network namespaces, as root, 30 minutes (ARGS="two-cuts --write docs/real-networks.md")
#   make soak                  an hour of all that goes wrong, on twelve real nodes under load, as root (MINUTES=10, SEED=7, PLAN=FILE)
#   make traces                whether runs of the simulator are the same on every Python found here
#   make compiled              the core compiled to C, in a venv of its own: .venv/compiled/bin/meshfleet (a C compiler, minutes)
#   make mutants               breaks rules of the core one at a time; each must be noticed
#   make fuzz                  feeds every decoder of network bytes, 10 minutes each (MINUTES=1, TARGET=packet, ARGS=--keep)
#   make real-agents           the real Claude Code, Codex, Gemini CLI and opencode, offline, against a node (npm, 1.1 GB, once)
#   make site                  the documentation as a site, in .site; a dead link is an error
#   make manifests             deploy/kubernetes from the Helm chart
#   make bench                 what the mesh costs and how fast it is, measured on loopback
#   make growth                the same against the size of the fleet, into docs/performance.md: hours (ARGS="--runs 1 --sizes 8,64")
#
# PYTHON=/path/to/python3.12 picks the interpreter.

SHELL := /bin/sh
VENV := .venv
PY := $(VENV)/bin/python
FLEET := $(PY) -m meshfleet
PARTS := fleet gossip
BRANCHES := 95
T :=
ARGS :=
SEEDS :=
JOBS :=
# Half as many again as there are cores: many tests wait for processes, and use none meanwhile.
WORKERS = $(shell $(PY) -c "import os; print(os.cpu_count() * 3 // 2)")
MINUTES :=
SEED :=
PLAN :=
TARGET :=

# Both stamps hold the folder they were made in: a venv that was moved or copied still runs the code of its old place.
RUN_STAMP := $(VENV)/.made-to-run
DEV_STAMP := $(VENV)/.made-to-develop
ifneq ($(wildcard $(RUN_STAMP)),)
ifneq ($(shell cat $(RUN_STAMP)):$(shell $(PY) -c 'print("runs")' 2>/dev/null),$(CURDIR):runs)
$(RUN_STAMP): FORCE
endif
endif

.PHONY: demo up test lint format bench growth sims lifeguard sweep traces compiled network soak mutants fuzz real-agents manifests site clean FORCE
FORCE:

demo: $(RUN_STAMP)
	@exec $(FLEET) demo $(ARGS)

up: $(RUN_STAMP)
	@exec $(FLEET) up $(ARGS)

bench: $(RUN_STAMP)
	@exec $(FLEET) bench mesh $(ARGS)

growth: $(RUN_STAMP)
	@exec $(FLEET) bench growth --results docs/growth.json --picture docs/images/growth.svg --write docs/performance.md $(ARGS)

sims: $(RUN_STAMP)
	@exec $(FLEET) sim table --seeds $(or $(SEEDS),0:3) --write sims/README.md $(ARGS)

lifeguard: $(RUN_STAMP)
	@exec $(FLEET) sim lifeguard --seeds $(or $(SEEDS),0:1) $(if $(JOBS),--jobs $(JOBS)) --write sims/lifeguard/README.md $(ARGS)

sweep: $(RUN_STAMP)
	@$(FLEET) sim sweep $(patsubst sims/%.toml,%,$(wildcard sims/*.toml)) --seeds 0:20 $(if $(JOBS),--jobs $(JOBS)) $(ARGS)
	@$(FLEET) sim sweep --swarm --seeds 0:$(or $(SEEDS),2000) $(if $(JOBS),--jobs $(JOBS)) $(ARGS)

network: $(DEV_STAMP)
	@$(PY) -m tests.network.run $(ARGS)

soak: $(DEV_STAMP)
	@$(PY) -m tests.soak.run --minutes $(or $(MINUTES),60) $(if $(SEED),--seed $(SEED)) $(if $(PLAN),--plan $(PLAN)) $(ARGS)

traces: $(RUN_STAMP)
	@$(PY) .ci/traces.py

compiled: $(RUN_STAMP)
	@rm -rf $(VENV)/wheels
	@echo "Compiling the core (some minutes) ..."
	@HATCH_BUILD_HOOKS_ENABLE=1 $(PY) -m pip wheel -q --disable-pip-version-check --no-deps --wheel-dir $(VENV)/wheels .
	@PYTHON=$(PY) sh .ci/venv make $(VENV)/compiled
	@$(VENV)/compiled/bin/python -m pip install -q --disable-pip-version-check "$$(echo $(VENV)/wheels/*.whl)[all]"
	@$(PY) .ci/traces.py $(VENV)/compiled/bin/python

mutants: $(DEV_STAMP)
	@$(PY) -m tests.mutants $(ARGS)

fuzz: $(DEV_STAMP)
	@$(PY) -c 'import atheris' 2>/dev/null || $(PY) -m pip install -q --only-binary :all: atheris || true
	@$(PY) -m tests.fuzz.run --minutes $(or $(MINUTES),10) $(if $(TARGET),--target $(TARGET)) $(ARGS)

manifests: $(DEV_STAMP)
	@$(PY) .ci/manifests.py

site: $(DEV_STAMP)
	@said=$$(NO_MKDOCS_2_WARNING=1 $(PY) -m mkdocs build --strict 2>&1) || { printf '%s\n' "$$said"; exit 1; }

AGENTS := @anthropic-ai/claude-code @openai/codex @google/gemini-cli opencode-ai
SDKS := sdk-trace-node resources otlp-exporter-base exporter-trace-otlp-http exporter-trace-otlp-proto
NPM := $(CURDIR)/$(VENV)/agents/node_modules

real-agents: $(DEV_STAMP)
	@test -d $(NPM) || npm install --no-audit --no-fund --prefix $(VENV)/agents $(AGENTS) $(addprefix @opentelemetry/,$(SDKS))
	@REAL_AGENTS="$(NPM)/.bin" INTEROP_BIN="$(NPM)/.bin" NODE_PATH="$(NPM)" $(PY) -m pytest tests/interop $(ARGS)

ifeq ($(T),)
test: $(DEV_STAMP)
	@$(PY) -m pytest -n $(or $(JOBS),$(WORKERS)) --dist loadfile --no-loadscope-reorder --cov --cov-report= $(ARGS)
	@for part in $(PARTS); do \
	  $(PY) -m coverage json -q --include="meshfleet/$$part/*" -o "$(VENV)/$$part.json" && \
	  $(PY) .ci/branches.py "$(VENV)/$$part.json" "meshfleet/$$part" $(BRANCHES) || exit 1; \
	done
else
test: $(DEV_STAMP)
	@$(PY) -m pytest $(T) $(ARGS)
endif

lint: $(DEV_STAMP)
	@$(PY) -m ruff check .
	@$(PY) -m ruff format --check .
	@$(PY) -m mypy
	@$(VENV)/bin/lint-imports

format: $(DEV_STAMP)
	@$(PY) -m ruff check --fix .
	@$(PY) -m ruff format .

clean:
	rm -rf $(VENV) .site .soak .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .coverage

$(RUN_STAMP): pyproject.toml
	@PYTHON="$(PYTHON)" sh .ci/venv make $(VENV)
	@echo "Installing meshfleet into $(VENV) (once, about half a minute) ..."
	@sh .ci/venv install $(VENV) ".[all]"
	@printf '%s\n' "$(CURDIR)" > $@

$(DEV_STAMP): $(RUN_STAMP)
	@echo "Installing what tests and lint need into $(VENV) (once, about half a minute) ..."
	@sh .ci/venv install $(VENV) ".[dev]"
	@printf '%s\n' "$(CURDIR)" > $@
