# Two commands are enough on a fresh machine: make demo, make test.
# Each sets up .venv on its own; Python 3.11 or newer with pip, and make, are all it takes.

PYTHON ?= python3
BIN := .venv/bin
READY := .venv/ready
SPARK := tests/ledger/test_spark.py

.PHONY: demo test lint unit spark test-thorough foreign foreign-tools mutants bench proofs clean

demo: $(READY)
	$(BIN)/auditkit demo

test: lint unit spark

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

unit: $(READY)
	$(BIN)/pytest -n auto --ignore $(SPARK)

# PySpark is half a gigabyte and brings pandas, which nothing else of ours should need to be there.
spark: .venv-spark/ready
	.venv-spark/bin/pytest -n auto $(SPARK)

# Tools that others wrote look at our files; docs/check-without-us.md says which, and what they see.
foreign: foreign-tools
	$(BIN)/pytest tests/foreign -n auto

# Each in an environment of its own below .venv-foreign; what cannot be had is told and left out.
foreign-tools: $(READY)
	$(BIN)/python tools/make_foreign.py

# Long runs, and every outside tool must be there: an absent one fails.
test-thorough: $(READY) .venv-spark/ready lint foreign-tools
	AUDITKIT_HYPOTHESIS=thorough AUDITKIT_THOROUGH=1 $(BIN)/pytest -n auto -m "" --ignore $(SPARK)
	AUDITKIT_HYPOTHESIS=thorough AUDITKIT_THOROUGH=1 .venv-spark/bin/pytest -n auto -m "" $(SPARK)
	$(MAKE) mutants

# Takes each check of the kernel away in turn; some test must fail.
mutants: $(READY)
	$(BIN)/python tools/mutate.py

# Forty million accounts take some minutes and 20 GB of disk; see bench/README.md.
# In an environment as an exchange's, without what only our tests need.
bench: BIN := .venv-bench/bin
bench:
	$(PYTHON) -m venv --clear .venv-bench
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[publish,bench]'
	$(BIN)/python bench/verify_start.py --most 0.4
	$(BIN)/python bench/scale.py
	$(BIN)/python bench/event_million.py --most-event 60 --most-audit 120
	$(BIN)/python bench/event_million.py --accounts 100000 --assets 5 --most-event 90
	$(BIN)/python bench/fund_series.py --most-backfill 40 --most-show 8 --most-append 0.5 --most-memory 400
	$(BIN)/python bench/fund_series.py --pools 20 --most-backfill 150
	$(BIN)/python bench/history_log.py --most-publish 0.5 --most-prove 0.3 --most-follow 30 --most-more 3 --most-fsck 20 --most-memory 300
	$(BIN)/python bench/history_log.py --pools 20 --most-publish 1.5 --most-prove 0.9 --most-follow 90 --most-more 3 --most-fsck 60 --most-memory 300
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[publish,bench,spark]'
	$(BIN)/python bench/spark_million.py

# Makes proofs/ anew: a published venue, honest files, and a file per lie.
proofs: $(READY)
	$(BIN)/python tools/make_proofs.py

$(READY): pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "auditkit needs Python 3.11 or newer")'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev]'
	touch $(READY)

.venv-spark/ready: pyproject.toml
	$(PYTHON) -m venv --clear .venv-spark
	.venv-spark/bin/python -m pip install --quiet --disable-pip-version-check -e '.[dev,spark]'
	touch $@

clean:
	rm -rf .venv .venv-bench .venv-spark .venv-foreign .mypy_cache .ruff_cache .pytest_cache .hypothesis build dist
