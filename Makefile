# make demo    sets everything up in .venv and runs the demo: synthetic faces, pretraining, evaluation, detection
# make test    sets everything up and runs the tests (ARGS="-k name" for some of them)
# make lint    ruff and mypy

PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.installed

.PHONY: demo test lint setup system clean
.DEFAULT_GOAL := setup

demo: setup
	$(BIN)/python -m duchenne.cli.main demo $(ARGS)

test: setup
	$(BIN)/python -m pytest $(ARGS)

lint: setup
	$(BIN)/ruff check src tests benchmarks
	$(BIN)/ruff format --check src tests benchmarks
	$(BIN)/mypy src

setup: $(STAMP)

# Once per change of the two files; a second call does nothing.
$(STAMP): pyproject.toml constraints.txt | system
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@

system:
	@PYTHON='$(PYTHON)' sh tools/check_system.sh

clean:
	rm -rf .venv
