# make run: everything on this machine · make test · make check: format, lint, types · make bench · make soak
PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
SOURCES := main.py up.py settings.py models analytics streams actors hub engines tests bench examples

.PHONY: run test check bench soak

run: .venv/installed
	HUB_LOG_FORMAT=$${HUB_LOG_FORMAT:-console} $(BIN)/python main.py up

# Two processes: much of the time a test waits.
test: .venv/installed
	$(BIN)/pytest -n 2 --dist loadfile --no-loadscope-reorder

check: .venv/installed
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy $(SOURCES)

bench: .venv/installed
	set -e; for file in bench/[a-z]*.py; do echo "== $$file"; $(BIN)/python -m bench.$$(basename $$file .py); done

# The fault proofs at full size, with seeds nobody has seen.
soak: .venv/installed
	$(BIN)/pytest -n 2 --dist loadfile --no-loadscope-reorder --soak --timeout 3600 tests

.venv/installed: requirements.lock
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/pip install -q -r requirements.lock
	touch $@
