# banyan: `make` lists what can be done; `make demo` and `make test` do all their own set-up.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
.DEFAULT_GOAL := help
.PHONY: help demo open test check torture bench clean lock

help:  ## list what can be done
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /|/' | awk -F'|' '{printf "  make %-9s %s\n", $$1, $$2}'

demo: $(VENV)/airflow.ready  ## the whole story on a synthetic department (no root, no account)
	@$(BIN)/banyan demo --dir .banyan/demo

open: ## show where the demo's report is, and open it when there is a browser
	@ls .banyan/demo/report.fr.html && (xdg-open .banyan/demo/report.fr.html 2>/dev/null || true)

test: $(VENV)/airflow.ready  ## checks and all tests (as root on Debian 12: installs what is missing)
	@sh tests/run.sh

check: $(VENV)/airflow.ready  ## ruff, mypy strict, import-linter, architecture tests; no server
	@$(BIN)/ruff check -q . && $(BIN)/ruff format --check -q .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-cache > $(VENV)/imports.log || { cat $(VENV)/imports.log; exit 1; }
	@$(BIN)/pytest -q -p no:cacheprovider tests/test_architecture.py tests/test_docs.py tests/test_packages.py

torture: $(VENV)/airflow.ready  ## what is too long for every day
	@$(BIN)/pytest -m torture --durations=10

bench: $(VENV)/airflow.ready  ## measures, as ratios inside one run
	@for file in bench/bench_*.py; do $(BIN)/python $$file || exit 1; done

clean:  ## stop the embedded servers of this folder and delete what the targets made
	@test ! -x $(BIN)/python || $(BIN)/python -m wire.cleanup . .banyan/demo
	@rm -rf .venv .banyan .mypy_cache .ruff_cache .pytest_cache .hypothesis

lock:  ## compile the hashed locks anew (needs uv)
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-header --no-annotate -q pyproject.toml --all-extras -o locks/airflow.txt
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-header --no-annotate -q pyproject.toml --extra embedded --extra build --extra mariadb --extra odbc --extra test -c locks/airflow.txt -o locks/test.txt
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-header --no-annotate -q pyproject.toml --extra embedded --extra build -c locks/airflow.txt -o locks/core.txt

$(VENV)/airflow.ready: locks/airflow.txt pyproject.toml
	@test -x $(BIN)/python || { echo "making $(VENV) (once)"; $(PYTHON) -m venv $(VENV); }
	@echo "installing the locked packages (once)"
	@$(BIN)/pip install -q --disable-pip-version-check --require-hashes -r locks/airflow.txt
	@$(BIN)/pip install -q --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@
