# Needs Python >= 3.11 and make; with npm and Chromium the book has more. `make help` lists what there is to do.
PYTHON ?= python3
VENV := .venv
PY := $(VENV)/bin/python
STAMP := $(VENV)/.stamp
BOOK_ARGS ?=
# two processes of one thread each: the tests are written for machines with two cores
PYTEST_ARGS ?= -n 2 --dist loadgroup

.DEFAULT_GOAL := help
.PHONY: help env book test test-slurm lint lab clean distclean FORCE

help: ## show this list
	@echo "make book   run every notebook (quick profile, synthetic data) and build _build/html/index.html"
	@echo "            FERLIB_DATA=DIR make book     the same on real data"
	@echo "            make book BOOK_ARGS='--force' everything again; see $(PY) -m ferlib.book build --help"
	@echo "make test   run the tests; make test-slurm starts a Slurm on this machine and tests the workflow on it"
	@echo "make lint   ruff (lint and format) and mypy"
	@echo "make lab    open JupyterLab on the notebooks"
	@echo "make clean  remove what was built; make distclean also removes $(VENV)"
	@echo
	@echo "The first one creates the environment in $(VENV). PYTHON=python3.12 make book chooses the interpreter."

# An interpreter that was asked for and is not the environment's: make the environment again.
ifneq ($(origin PYTHON),file)
VERSION := -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null
ifneq ($(shell $(PYTHON) $(VERSION)),$(shell $(PY) $(VERSION)))
$(STAMP): FORCE
FORCE:
endif
endif

# The environment is complete when the stamp exists; it is made again when the pins change.
$(STAMP): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	  echo "error: '$(PYTHON)' is not Python 3.11 or newer; install one and name it: PYTHON=python3.12 make" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info >= (3, 13))' || \
	  echo "note: $(PYTHON) is newer than Python 3.12, the newest that this is tested with; PYTHON=python3.12 make env takes that"
	@start=$$(date +%s); \
	echo "creating the environment in $(VENV) (several minutes, most of it PyTorch)"; \
	rm -f $(STAMP); \
	if [ "$$($(PY) -c 'import sys; print(sys.version_info[:2])' 2>/dev/null)" = \
	     "$$($(PYTHON) -c 'import sys; print(sys.version_info[:2])')" ]; \
	then :; else $(PYTHON) -m venv --clear $(VENV) || { \
	  echo "error: $(PYTHON) -m venv failed; on Debian and Ubuntu install python3-venv" >&2; exit 1; }; fi; \
	$(PY) -m pip install --disable-pip-version-check -e '.[dev]' && \
	touch $(STAMP) && \
	echo "environment ready after $$(( $$(date +%s) - start )) s"

env: $(STAMP)

book: $(STAMP)
	@$(PY) -m ferlib.book build $(BOOK_ARGS)
	@$(PY) -m ferlib.book pack

test: $(STAMP)
	@OMP_NUM_THREADS=1 $(PY) -m pytest $(PYTEST_ARGS)

# Needs root and Debian's slurm-wlm and munge; skipped with a reason where they are missing.
test-slurm: $(STAMP)
	@$(PY) -m pip install --quiet --disable-pip-version-check -e '.[dev,workflow]'
	@$(PY) -m pytest -s tests/slurm $(PYTEST_ARGS)

lint: $(STAMP)
	@$(PY) -m ruff check .
	@$(PY) -m ruff format --check .
	@$(PY) -m mypy ferlib

lab: $(STAMP)
	@$(PY) -m jupyterlab notebooks --ServerApp.tornado_settings websocket_max_message_size=104857600 # pictures to upload

clean:
	rm -rf _build .pytest_cache .mypy_cache .ruff_cache

distclean: clean
	rm -rf $(VENV) *.egg-info
