.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.NOTPARALLEL:
VENV := .venv
BIN := $(VENV)/bin
KERNEL := containers/etl_runtime/_kernel.so
KERNEL_SOURCES := $(wildcard containers/etl_runtime/kernel/*.[ch])
SOURCES := __main__.py etl_infra etl_cli etl_local containers tests bench

.PHONY: help
help: ## What can be made
	@grep -E '^[a-z-]+:.*## ' $(firstword $(MAKEFILE_LIST)) | sed 's/:.*## /\t/' | expand -t 16

.PHONY: demo
demo: $(VENV)/installed $(KERNEL) ## Carry a real database through the whole system on this machine (DEMO="--scale 5 --keep")
	@$(BIN)/postgres-etl demo $(DEMO)

.PHONY: test
test: $(VENV)/installed $(KERNEL) checkov lint types ## Everything: lint, types, and all tests, the end-to-end ones included
	$(BIN)/pytest $(PARALLEL) -m 'not faults'

.PHONY: faults
faults: $(VENV)/installed $(KERNEL) ## Fail each program at every point between two of its outer effects: many minutes
	$(BIN)/pytest $(PARALLEL) -m faults

.PHONY: quick
quick: $(VENV)/installed $(KERNEL) ## The tests to run on every save: under a minute
	PYTHONDONTWRITEBYTECODE= $(BIN)/pytest $(PARALLEL) -m 'not end_to_end and not faults'
# Without byte-code, half of collecting is compiling, whatever the environment says.
# A third of the tests' time is waiting; a file's tests stay together for the fixtures that they share.
PARALLEL := --numprocesses 3 --dist loadfile --quiet

.PHONY: lint
lint: $(VENV)/installed
	$(BIN)/ruff format --check $(SOURCES)
	$(BIN)/ruff check $(SOURCES)

.PHONY: types
types: $(VENV)/installed
	$(BIN)/pyright --warnings

.PHONY: format
format: $(VENV)/installed ## Put the code in its form
	$(BIN)/ruff format $(SOURCES)
	$(BIN)/ruff check --fix $(SOURCES)

.PHONY: preview-offline
preview-offline: $(VENV)/installed ## What a change does to the stacks, without an account (AGAINST=origin/main)
	@$(BIN)/python -m etl_local.rendering $(if $(AGAINST),--against $(AGAINST))

.PHONY: docs
docs: $(VENV)/installed ## Write the generated pages of docs/
	@$(BIN)/python -m etl_local.documentation

.PHONY: bench
bench: $(VENV)/installed $(KERNEL) ## Measure: ratios side by side; an hour (BENCH="--megabytes 200" is shorter)
	$(BIN)/python bench/pipeline.py
	$(BIN)/python bench/extract.py
	$(BIN)/python bench/transform.py $(BENCH)

.PHONY: images
images: ## Build the three images with docker or podman (TAG=, ENGINE=)
	@containers/image/build.sh

.PHONY: sanitize
sanitize: $(VENV)/installed ## The kernel's tests under the address and undefined-behaviour sanitizers (needs gcc)
	gcc -std=c11 -g -O1 -fsanitize=address,undefined -fno-sanitize-recover -shared -fPIC -fvisibility=hidden \
		-o $(KERNEL) $(filter %.c,$(KERNEL_SOURCES)) -lm
	LD_PRELOAD="$$(gcc -print-file-name=libasan.so)" ASAN_OPTIONS=detect_leaks=0 \
		$(BIN)/pytest -q tests/containers/test_proof_kernel.py tests/containers/test_compiled_table.py; status=$$?; \
		rm $(KERNEL); $(MAKE) --no-print-directory $(KERNEL); exit $$status

.PHONY: pins
pins: $(VENV)/installed ## Choose the newest pins that pyproject.toml allows
	$(BIN)/pip install --quiet uv
	$(BIN)/uv pip compile --upgrade $(PIN_OPTIONS) --extra dev --output-file requirements.txt pyproject.toml
	$(BIN)/uv pip compile --upgrade $(PIN_OPTIONS) --constraint requirements.txt --output-file containers/requirements.txt containers/requirements.in
	$(BIN)/uv pip compile --upgrade $(PIN_OPTIONS) --constraint requirements.txt --output-file containers/build-requirements.txt containers/build-requirements.in
	$(BIN)/uv pip compile --upgrade $(PIN_OPTIONS) --output-file tests/infra/checkov-requirements.txt tests/infra/checkov-requirements.in
PIN_OPTIONS := --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --no-emit-index-url

.PHONY: checkov
checkov: .venv-checkov/installed
.venv-checkov/installed: tests/infra/checkov-requirements.txt | $(VENV)/installed
	@$(BIN)/python -m venv --without-pip .venv-checkov
	@$(BIN)/pip --python .venv-checkov/bin/python install --quiet --disable-pip-version-check --no-deps --require-hashes -r $<
	@touch $@

# Byte-code of all of pulumi_aws would take minutes; of what is imported here it takes seconds, and spares each start some.
COMPILED := boto3 botocore flask kubernetes moto numpy psycopg pulumi pulumi_kubernetes/core pulumi_kubernetes/meta rich typer \
	$(addprefix pulumi_aws/,cloudwatch ec2 ecs iam kms rds s3 secretsmanager sfn sns sqs vpc)
$(VENV)/installed: requirements.txt pyproject.toml
	@python3 -c 'import sys; sys.exit("postgres-etl needs python3 >= 3.11" if sys.version_info < (3, 11) else 0)'
	@echo 'Setting up $(VENV): once, about half a minute'
	@python3 -m venv $(VENV) 2>/dev/null || $(MAKE) --no-print-directory $(VENV)/bin/python
	@$(BIN)/pip install --quiet --disable-pip-version-check --no-compile --no-deps --require-hashes -r requirements.txt
	@$(BIN)/pip install --quiet --disable-pip-version-check --no-compile --no-deps --no-build-isolation -e .
	@cd $(VENV)/lib/python3*/site-packages && $(CURDIR)/$(BIN)/python -m compileall -q -j 0 $(COMPILED)
	@$(MAKE) --no-print-directory $(KERNEL)
	@touch $@

# What reads every byte is C; this compiler is the same on every machine, and so are its results.
$(KERNEL): $(KERNEL_SOURCES) Makefile
	@cd $(@D) && $(CURDIR)/$(BIN)/python -m ziglang cc -std=c11 -Wall -Wextra -Werror -O3 -mcpu=baseline -shared -fPIC \
		-fvisibility=hidden -o $(CURDIR)/$@ kernel/*.c -lm

# Some distributions ship python3 without what `-m venv` needs.
$(VENV)/bin/python:
	@rm -rf $(VENV)
	@python3 -m pip install --quiet --disable-pip-version-check --target $(VENV)/virtualenv virtualenv
	@PYTHONPATH=$(VENV)/virtualenv python3 -m virtualenv --quiet $(VENV)
