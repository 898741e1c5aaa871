# make demo   the main job, end to end          make test   everything that CI checks
# The first of them creates .venv; no root is needed. Another Python: make test PYTHON=python3.12

VENV ?= .venv
WORKERS ?= 2
PY := $(VENV)/bin/python
STAMP := $(VENV)/.installed
# One version, or every set-up would follow the newest build, and its gigabytes
TORCH ?= torch==2.13.0
SUPPORTED := import sys, venv, ensurepip; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))
FIND_PYTHON = for p in python3 python3.13 python3.12 python3.11 python; do \
	  if $$p -c '$(SUPPORTED)' >/dev/null 2>&1; then echo $$p; exit; fi; done
PYTHON ?= $(shell $(FIND_PYTHON))

.PHONY: help venv demo test lint format type layers unit soak bench notebooks clean

help:
	@echo 'make demo     solve hall_4n3 losing a UPS at 90 % load: the plan, out/report.html; then control it for a simulated'
	@echo '              hour in which a transfer switch wears out, a meter is dead and a UPS is lost: out/run.html'
	@echo 'make test     everything that CI checks: lint, type, layers, unit'
	@echo 'make venv     create $(VENV) with pdnopt and its tools'
	@echo 'make lint     ruff check, ruff format --check'
	@echo 'make format   let ruff format and fix'
	@echo 'make type     mypy --strict'
	@echo 'make layers   import-linter'
	@echo 'make unit     pytest, without the soak tests'
	@echo 'make soak     pytest, the soak tests (long)'
	@echo 'make bench    every benchmark (about half an hour); one: make bench BENCHMARKS=growth'
	@echo 'make notebooks  run the notebooks and store their outputs'
	@echo 'make clean    remove what make and the tools have written, $(VENV) included'

venv: $(STAMP)

$(STAMP): pyproject.toml
	@test -n '$(PYTHON)' || { echo 'Python 3.11, 3.12 or 3.13 with venv is needed and was not found:'; \
	  echo 'install one (Debian, Ubuntu: python3-venv), or say make PYTHON=/path/to/python3.12'; exit 1; }
	@test -x $(PY) || $(PYTHON) -m venv $(VENV)
	$(PY) -m pip install --quiet --disable-pip-version-check $(TORCH) --editable '.[all]'
	@touch $@

demo: $(STAMP)
	@$(VENV)/bin/pdnopt solve hall_4n3 --failed ups:UPS-A --load-level 0.9 --report out/report.html
	@$(VENV)/bin/pdnopt run hall_4n3 --simulate --scenario demo_hour --interval-s 10 --fresh \
	  --journal out/demo.db --report out/run.html

test: lint type layers unit

lint: $(STAMP)
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .

format: $(STAMP)
	$(PY) -m ruff check --fix .
	$(PY) -m ruff format .

type: $(STAMP)
	$(PY) -m mypy

layers: $(STAMP)
	$(VENV)/bin/lint-imports

unit: $(STAMP)
	$(PY) -m pytest -n $(WORKERS)

soak: $(STAMP)
	$(PY) -m pytest -n $(WORKERS) -m soak

bench: $(STAMP)
	$(PY) -m tests.benchmarks $(BENCHMARKS)

notebooks: $(STAMP)
	$(VENV)/bin/jupyter execute --inplace notebooks/*.ipynb

clean:
	rm -rf $(VENV) out build dist .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
