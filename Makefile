# Limner: `make serve` runs it, `make test` tests it; both set everything up first.
#
#   make serve ARGS="--port 9000"    pass flags on
#   make serve TORCH=cpu             take PyTorch's CPU build (default: by whether an NVIDIA GPU is there)

PYTHON ?= $(firstword $(foreach p,python3 python3.14 python3.13 python3.12 python3.11,$(shell \
    $p -c 'import sys; sys.version_info >= (3, 11) and print("$p")' 2>/dev/null)))
TORCH ?= auto
ARGS ?=
BIN := .venv/bin
PYTEST := $(BIN)/python -m pytest

.PHONY: help serve install test test-all check evaluate format lock dist website types clean python dev

help:
	@sed -n 's/^# \{0,1\}//p' Makefile | head -4

serve: install
	@exec $(BIN)/limner serve $(ARGS)

install: python
	@$(PYTHON) scripts/install.py --torch $(TORCH)

dev: python
	@$(PYTHON) scripts/install.py --torch $(TORCH) --dev

test: dev check
	@scripts/test-needs.sh
	$(PYTEST) -m "not slow" $(ARGS)

test-all: dev check
	@scripts/test-needs.sh
	$(PYTEST) $(ARGS)

check: dev
	$(BIN)/ruff format --check --quiet .
	$(BIN)/ruff check --quiet .
	$(BIN)/mypy
	@$(PYTHON) scripts/install.py --run-npm check

format: dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

# Does the starter model draw what held-out prompts ask for? Prints the table of its card.
evaluate: dev
	OMP_WAIT_POLICY=PASSIVE $(BIN)/python -m training.evaluate $(ARGS)

# The wheel, with the website and the weights inside.
dist: dev
	rm -rf dist
	$(BIN)/python -m build --wheel --outdir dist .

# The website for a static host, in dist/website: make website API=https://art.example.org
website: dev
	@test -n "$(API)" || { echo "limner: say where the server is: make website API=https://art.example.org" >&2; exit 1; }
	@VITE_LIMNER_API="$(API)" $(PYTHON) scripts/install.py --run-npm build

# The website's API types, from the schema.
types: dev
	@$(PYTHON) scripts/install.py --run-npm types

# constraints.txt: every version, as resolved in an empty environment.
lock: python
	@scripts/lock.sh $(PYTHON)

python:
	@test -n "$(PYTHON)" && $(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
	    || { echo "limner: Python 3.11 or newer is needed; name one: make serve PYTHON=/path/to/python3" >&2; exit 1; }

clean:
	rm -rf .venv dist web/node_modules src/limner/static
