# Two commands do everything, each on a fresh machine: `make train` and `make test`.
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready

.PHONY: train test tables clean

train: $(READY)  ## Train the digits with two forward passes, and the backprop twin beside it
	$(BIN)/twofold train digits --with-twin

test: $(READY)  ## Style, types and the whole test suite
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	OMP_NUM_THREADS=1 $(BIN)/pytest -n 2 --dist loadfile

tables: $(READY)  ## Write the generated tables and pages of the docs from results/
	$(BIN)/python -m twofold_lab.docs

clean:  ## Remove the virtual environment
	rm -rf .venv

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $(READY)
