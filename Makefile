PYTHON ?= python3
VENV := .venv
INSTALLED := $(VENV)/installed

.PHONY: install demo check test s3 help

help:
	@echo "make install   a virtual environment in $(VENV) with everything in it"
	@echo "make demo      draw miniatures of all benchmarks, pack and evaluate them, make a leaderboard"
	@echo "make check     lint, format and types, without changing a file"
	@echo "make test      run all tests, two files at once"
	@echo "make s3        an object store on this machine to try s3:// with, until Ctrl-C"

install: $(INSTALLED)

# Compiled now: Ray starts many processes, and each would compile what it imports where Python is told to keep no
# compiled files, as in many containers.
$(INSTALLED): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Python 3.11 or newer is needed; name one: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	@echo "installing into $(VENV): about 6 GB, a minute or some"
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/pip install --quiet uv
	$(VENV)/bin/uv pip install --quiet --compile-bytecode --python $(VENV)/bin/python --editable '.[check,test]'
	@touch $@

demo: install
	$(VENV)/bin/zsad demo demo-output

check: install
	$(VENV)/bin/ruff check
	$(VENV)/bin/ruff format --check
	$(VENV)/bin/mypy

test: install
	$(VENV)/bin/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

s3: install
	@$(VENV)/bin/python -m tests.object_store
