# One command each. Everything they need is installed below .venv and .cache; nothing else is touched.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: setup demo test test-platforms chaos check bench bench-detect bench-scale bench-cost bench-release clean

setup: .venv/.installed

.venv/.installed: pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable ".[dev]"
	touch $@

demo: setup
	$(BIN)/tidegate demo

test: setup
	$(BIN)/python -m pytest -n 2 --dist loadfile

# Real platforms that take minutes to build the first time: a kube-apiserver and KEDA from Go modules.
test-platforms: setup
	tests/serve/build-keda.sh .cache/keda
	$(BIN)/python -m pytest -m platforms

# Faults in their long form. TIDEGATE_SEED=N repeats a run, TIDEGATE_KILLS=N sets how often a worker is killed.
chaos: setup
	$(BIN)/python -m pytest -m chaos -s --timeout 1800

bench: setup
	$(BIN)/python -m bench.reach --json bench.json

bench-detect: setup
	$(BIN)/python -m bench.detection
	$(BIN)/python -m bench.feedback

bench-scale: setup
	$(BIN)/python -m bench.scaling

bench-cost: setup
	$(BIN)/python -m bench.rightsizing
	$(BIN)/python -m bench.scheduling
	$(BIN)/python -m bench.optimiser

bench-release: setup
	$(BIN)/python -m bench.releases

check: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

clean:
	rm -rf .venv .cache dist .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis
