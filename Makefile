.DEFAULT_GOAL := help
VENV := .venv
BIN := $(VENV)/bin

.PHONY: help
help: ## What can be made
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | expand -t 20

$(VENV)/installed: requirements.txt pyproject.toml
	python3 -c 'import sys; sys.exit(sys.version_info < (3, 11) and "postgres-etl needs python3 >= 3.11")'
	python3 -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --no-compile --no-deps --require-hashes -r requirements.txt
	$(BIN)/pip install --quiet --disable-pip-version-check --no-compile --no-deps --no-build-isolation -e .
	touch $@
