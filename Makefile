# make compare   train and compare the LSTMs of the quickstart: the main job
# make test      lint, then the tests
# make lint      ruff, import-linter and pyrefly
# make bench     measure beside the other libraries; writes docs/performance.md
# make statistics  simulate what intervals and tests hold; writes docs/statistics.md
# make faults    disturb real runs for an hour; writes docs/reliability.md
# make trackers  kill and read back Weights & Biases, Trackio, MLflow, TensorBoard
# make cluster   disturb a real SLURM, Ray, Dask, ssh; as root it installs them
# make docs      write the pages that come from the code, and the site of them
# make clean     remove the environment and caches (never runs/)

PYTHON ?= python3
WORKDIR ?= runs/quickstart
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
TOOLS := $(VENV)/.tools
BENCH := .venv-bench
DOCS := .venv-docs
TRACKERS := .venv-trackers
CLUSTER := .venv-cluster
CONSTRAINTS := constraints.txt

# Images of containers often set it: each program would compile all that it
# imports, jax included, anew.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: compare test lint bench statistics faults trackers cluster docs clean

compare: $(READY)
	$(BIN)/python -m experiments.sweep \
	  --config=configs/studies/quickstart.py --workdir=$(WORKDIR) \
	  $(if $(wildcard $(WORKDIR)/study.json),--resume)
	$(BIN)/python -m experiments.analyse --workdir=$(WORKDIR)
	$(BIN)/python -m experiments.compare --workdir=$(WORKDIR)

test: lint
	$(BIN)/python -m pytest -n 3 --dist worksteal

lint: $(TOOLS)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports --no-cache --no-logo
	$(BIN)/pyrefly check --min-severity error \
	  --python-interpreter-path $(BIN)/python

bench: $(BENCH)/.ready
	$(BENCH)/bin/python -m benchmarks.report

statistics: $(READY)
	$(BIN)/python -m benchmarks.statistics

faults: $(TOOLS)
	$(BIN)/python -m tests.faults.report

trackers: $(TRACKERS)/.ready
	$(TRACKERS)/bin/python -m tests.trackers.real

cluster: $(CLUSTER)/.ready
	@command -v slurmctld && command -v munged && command -v sshd && \
	  command -v bindfs || \
	  $(MAKE) --no-print-directory daemons
	$(CLUSTER)/bin/python -m pytest tests/cluster/real_*.py

# Debian's, as root; RUNLEVEL: nothing of it is started.
.PHONY: daemons
daemons:
	apt-get update -qq
	RUNLEVEL=1 apt-get install -qq --no-install-recommends slurm-wlm munge \
	  openssh-server bindfs

# The site is build/site/index.html. A warning is an error, and so is what a
# reader would stumble over (tests/site.py).
docs: $(DOCS)/.ready
	$(DOCS)/bin/python docs/generate.py
	$(DOCS)/bin/python docs/imports.py
	$(DOCS)/bin/python docs/reading.py
	rm -rf build/site build/doctrees build/jupyter_execute
	$(DOCS)/bin/python -m sphinx --quiet --fail-on-warning --keep-going \
	  -b html -d build/doctrees docs build/site
	$(DOCS)/bin/python -m tests.site build/site

clean:
	rm -rf $(VENV) $(BENCH) $(DOCS) $(TRACKERS) $(CLUSTER) build *.egg-info
	rm -rf .pytest_cache .ruff_cache
	find . -name __pycache__ -not -path './.git/*' -prune -exec rm -rf {} +

# A new $(1) with what the package needs, at the versions of $(CONSTRAINTS), the
# build's own tools included.
define environment
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "$(PYTHON) is older than 3.11: make PYTHON=python3.11 $(MAKECMDGOALS)"; exit 2; }
	$(PYTHON) -m venv --clear $(1)
	$(1)/bin/pip install --quiet --disable-pip-version-check \
	  --constraint $(CONSTRAINTS) setuptools
	$(call install,$(1),.)
endef

# What $(2) needs, into $(1); Python compiles what it imports, the rest never.
define install
	$(1)/bin/pip install --quiet --disable-pip-version-check --no-compile \
	  --constraint $(CONSTRAINTS) --no-build-isolation --editable '$(2)'
endef

$(READY): pyproject.toml setup.py constraints.txt
	$(call environment,$(VENV))
	touch $@

# What tests the package is not needed to use it.
$(TOOLS): $(READY)
	$(call install,$(VENV),.[test])
	touch $@

# The other libraries in an environment of their own: the tests need none.
$(BENCH)/.ready: pyproject.toml setup.py constraints.txt
	$(call environment,$(BENCH))
	$(call install,$(BENCH),.[bench])
	touch $@

# Sphinx and its theme; no test needs them.
$(DOCS)/.ready: pyproject.toml setup.py constraints.txt
	$(call environment,$(DOCS))
	$(call install,$(DOCS),.[docs])
	touch $@

# Trackio takes no pillow of today.
$(TRACKERS)/.ready: CONSTRAINTS := tests/trackers/constraints.txt
$(TRACKERS)/.ready: pyproject.toml setup.py tests/trackers/constraints.txt
	$(call environment,$(TRACKERS))
	$(call install,$(TRACKERS),.[trackers])
	touch $@

$(CLUSTER)/.ready: pyproject.toml setup.py constraints.txt
	$(call environment,$(CLUSTER))
	$(call install,$(CLUSTER),.[cluster])
	touch $@
