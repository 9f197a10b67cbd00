# make demo    sets everything up in .venv and runs the demo: synthetic faces, pretraining, evaluation, detection
# make test    sets everything up and runs the tests (ARGS="-k name" for some of them)
# make lint    ruff and mypy
# make docs    builds the documentation as a site, build/site; a link that leads nowhere is an error

PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.installed

# Model files that lie beside the checkout are taken; elsewhere they are fetched once.
ifneq ($(wildcard ../shared/models),)
export DUCHENNE_MODELS ?= $(abspath ../shared/models)
endif

.PHONY: demo test lint docs setup system clean
.DEFAULT_GOAL := setup

demo: setup
	$(BIN)/python -m duchenne.cli.main demo $(ARGS)

test: setup
	$(BIN)/python -m pytest --numprocesses auto --maxprocesses 4 --dist loadfile $(ARGS)

lint: setup
	$(BIN)/ruff check src tests benchmarks examples tools
	$(BIN)/ruff format --check src tests benchmarks examples tools
	$(BIN)/mypy src

docs: setup
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[docs]'
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict

setup: $(STAMP)

# Once per change of the two files; a second call does nothing. The stamp holds the folder, because an environment that
# was moved along with its checkout still points to the old one.
ifneq ($(shell cat $(STAMP) 2> /dev/null),$(CURDIR))
.PHONY: $(STAMP)
endif
$(STAMP): pyproject.toml constraints.txt | system
	@if [ -f $@ ] && [ "$$(cat $@)" != '$(CURDIR)' ]; then rm -rf .venv; fi
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@echo '$(CURDIR)' > $@

system:
	@PYTHON='$(PYTHON)' sh tools/check_system.sh

clean:
	rm -rf .venv
