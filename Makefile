# Conveyor. `make help` lists what there is; README.md says when to use it.
.DEFAULT_GOAL := help
SHELL := /bin/bash
NODES ?=
BIN := .venv/bin
export PYTHONPATH :=

.PHONY: help
help: ## List the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 16

.venv/.locked: requirements.lock pyproject.toml hack/venv.sh
	@hack/venv.sh
	@touch $@

.PHONY: venv
venv: .venv/.locked ## The Python environment, from the lock file

.PHONY: fmt
fmt: venv ## Format the code
	@$(BIN)/ruff format --quiet . && $(BIN)/ruff check --quiet --fix .

.PHONY: lint
lint: venv
	@$(BIN)/ruff check --quiet . && $(BIN)/ruff format --quiet --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo

.PHONY: unit
unit: venv
	@hack/test-packages.sh
	@$(BIN)/pytest tests/unit tests/conformance tests/bench -q -n auto

.PHONY: check
check: lint unit ## Inner loop: lint, types, import contracts, unit tests; no cluster

.PHONY: conformance
conformance: venv ## Tables: digests of the real werf, template cases; on the cluster Dockerfiles beside other builders
	@PYTHONPATH=operator $(BIN)/python tests/conformance
	@hack/corpus.sh compare

.PHONY: corpus-update
corpus-update: venv ## Write what is different between Conveyor and the other builders into list and docs
	@hack/corpus.sh compare --update

.PHONY: corpus-record
corpus-record: venv cluster ## Build the corpus of Dockerfiles with BuildKit and the legacy builder, and record it
	@hack/corpus.sh record

.PHONY: cluster
cluster: ## A real kind cluster with registry and git server (NODES=n workers)
	@python3 hack/cluster.py up --nodes $(NODES)

.PHONY: room
room:
	@python3 hack/cluster.py room

.PHONY: cluster-down
cluster-down: ## Delete the cluster
	@python3 hack/cluster.py down

.PHONY: image
image: venv ## Build the operator's image into the cluster's registry
	@hack/image.sh

.PHONY: install
install: venv cluster ## Build and helm install (or upgrade) the operator
	@hack/install.sh

.PHONY: test
test: check room cluster install ## Everything: checks, then capture, registry, API server and end-to-end tests
	@hack/test.sh

.PHONY: demo
demo: cluster install ## Build a small project end to end and run it
	@hack/demo.sh

.PHONY: bench
bench: cluster install ## Measure; prints one table
	@hack/bench.sh

.PHONY: crds
crds: venv ## Generate the CRD from the models
	@$(BIN)/python -m conveyor.api.schema > crds/conveyor.dev_imagebuilds.yaml
	@cp crds/conveyor.dev_imagebuilds.yaml charts/conveyor/files/

.PHONY: lock
lock: venv ## Resolve the dependencies anew
	@hack/lock.sh
