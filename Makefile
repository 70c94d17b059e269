# make demo   installs into .venv, runs the quickstart grid on an embedded data set, prints its pivot table
# make test   installs the test extra, runs ruff, codespell, mypy and pytest
# make coverage runs pytest with coverage (a third slower) and lists the lines that no test runs
# make docs   installs the docs extra and builds the documentation in docs/_build/html
# make reproduce runs the experiments behind docs/results (many hours); one page: make reproduce PART=baselines
# make faults kills, fills and damages real runs, for four hours, and runs the other long tests
# make fuzz   feeds random files and arguments to the readers for ten minutes
# make bench  compares the engines with plain torch and other libraries
#
# PYTHON=... uses an environment of yours as it is, and installs nothing:  make test PYTHON=python3

VENV := .venv
# Not the whole folder: an experiment of yours beside them is yours.
sources := dynsparse analysis experiments tests benchmarks
BASE_PYTHON ?= python3

# Only what is typed counts: an environment variable of this name is not meant for us.
ifeq ($(origin PYTHON),command line)
installed :=
installed_test :=
installed_bench :=
installed_docs :=
else
PYTHON := $(VENV)/bin/python
installed := $(VENV)/installed
installed_test := $(VENV)/installed-test
installed_bench := $(VENV)/installed-bench
installed_docs := $(VENV)/installed-docs
endif

.PHONY: demo test coverage docs reproduce faults fuzz bench clean

demo: $(installed)
	$(PYTHON) -m dynsparse.cli run experiments/quickstart.py
	$(PYTHON) -m dynsparse.cli table results/quickstart --rows model --columns on_perc --metric test_acc_at_best

test: $(installed_test)
	$(PYTHON) -m ruff check $(sources)
	$(PYTHON) -m ruff format --check $(sources)
	$(PYTHON) -m codespell_lib $(sources) docs *.md
	$(PYTHON) -m mypy
	# Two processes share the cores. With more threads they would wait for each other.
	OMP_NUM_THREADS=1 $(PYTHON) -m pytest -n 2 --dist loadgroup

coverage: $(installed_test)
	OMP_NUM_THREADS=1 $(PYTHON) -m pytest -n 2 --dist loadgroup --cov --cov-report=term

docs: $(installed_docs)
	$(PYTHON) -m sphinx -W --keep-going -q -b html docs docs/_build/html
	# Markup that no page may show. Sphinx does not warn of it.
	! grep -rlE '\.\. (option|program|rubric|code-block)::' docs/_build/html --include='*.html'

reproduce: $(installed_test)
	$(PYTHON) docs/results/reproduce.py $(PART)

faults: $(installed_test)
	$(PYTHON) -m pytest tests -m faults

fuzz: $(installed_test)
	$(PYTHON) tests/fuzz.py --minutes 10

bench: $(installed_bench)
	$(PYTHON) benchmarks/one_epoch.py --json benchmarks/one_epoch.json
	$(PYTHON) benchmarks/density.py --json benchmarks/density.json
	$(PYTHON) benchmarks/kernels.py --json benchmarks/kernels.json
	$(PYTHON) benchmarks/durability.py --json benchmarks/durability.json
	$(PYTHON) benchmarks/tickets.py --json benchmarks/tickets.json
	$(PYTHON) benchmarks/exported.py --json benchmarks/exported.json

clean:
	rm -rf $(VENV) build docs/_build *.egg-info

# The stamps are newer than the files that say what to install, or pip runs again.
$(VENV)/installed: setup.cfg pyproject.toml
	test -x $(VENV)/bin/python || $(BASE_PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install --quiet --upgrade pip
	$(VENV)/bin/python -m pip install --editable .
	touch $@

$(VENV)/installed-test: $(VENV)/installed
	$(VENV)/bin/python -m pip install --editable ".[test]"
	# JupyterLab brings it. Each process of Ray would compile its grammar, which takes longer than everything else in it.
	$(VENV)/bin/python -m pip uninstall --yes --quiet rfc3987-syntax
	touch $@

$(VENV)/installed-bench: $(VENV)/installed
	$(VENV)/bin/python -m pip install --editable ".[bench]"
	touch $@

$(VENV)/installed-docs: $(VENV)/installed
	$(VENV)/bin/python -m pip install --editable ".[docs]"
	touch $@
