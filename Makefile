# Everything happens in .venv; only Python 3.11 is needed beforehand.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
PYTHON ?= $(shell command -v python3.11 || command -v python3)
ACTIVATE := source .venv/bin/activate

.PHONY: setup demo ui check test bench clean

setup: .venv/.ready  ## make the environment

.venv/.ready: pyproject.toml mlflow_projects/stand_in_conda
	$(PYTHON) -m venv .venv
	.venv/bin/pip install --quiet --disable-pip-version-check --editable '.[test]'
	grep -q MLFLOW_EXPERIMENT_NAME .venv/bin/activate || echo 'export MLFLOW_EXPERIMENT_NAME=comics-cloze MLFLOW_DISABLE_TELEMETRY=true' >> .venv/bin/activate
	command -v conda > /dev/null || test -n "$${CONDA_EXE:-}$${MLFLOW_CONDA_HOME:-}" || install -m 755 mlflow_projects/stand_in_conda .venv/bin/conda
	touch $@

demo: setup  ## the 2x2 study on the sample, through MLflow
	$(ACTIVATE) && mlflow run .

ui: setup  ## MLflow's pages on http://127.0.0.1:5000, with one process instead of fourteen
	@case "$${MLFLOW_TRACKING_URI:-}" in http*) echo "runs are kept by a server: open $$MLFLOW_TRACKING_URI" >&2; exit 2 ;; esac
	$(ACTIVATE) && MLFLOW_SERVER_ENABLE_JOB_EXECUTION=false mlflow server --workers 1 --host 127.0.0.1 --port $${PORT:-5000} \
	    --backend-store-uri "$${MLFLOW_TRACKING_URI:-sqlite:///$$PWD/mlflow.db}" --default-artifact-root "$$PWD/mlruns"

check: setup  ## formatting, lint, types, who imports whom, generated files
	.venv/bin/ruff format --no-cache --check --quiet . && .venv/bin/ruff check --no-cache --quiet . && .venv/bin/mypy && .venv/bin/lint-imports
	.venv/bin/sqlfluff lint --disable-progress-bar --nocolor sql
	.venv/bin/python -m jobs --check

test: setup  ## all tests; Debian packages that some want are installed where that can be done
	.ci/packages
	workers=$$(( $$(nproc) < 4 ? $$(nproc) + 1 : 4 )) && .venv/bin/python -m pytest -n $$workers --dist loadfile --no-loadscope-reorder

bench: setup  ## every benchmark prints its own figures
	for file in benchmarks/*.py; do .venv/bin/python -m "benchmarks.$$(basename "$$file" .py)"; done

clean:
	rm -rf .venv mlruns mlflow.db
