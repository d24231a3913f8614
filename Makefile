# Every entry point. A bare `make` lists them.

PYTHON ?= python3
VENV   ?= .venv
CONFIG ?= configs/hlg_mobile.yml
RUNS   ?= results/runs

# A folder with ImageNet's train/ and val/: to train or evaluate on, or to carve the tiny subset from.
IMAGENET   ?=
PRETRAINED ?=
# The tiny subset: classes, and images of each.
CLASSES    ?= 10
TRAIN      ?= 128
VAL        ?= 32

# Any other name=value on the command line is a key of the configuration: `make train seed=2 max_epoch=5`.
VARIABLES := PYTHON VENV CONFIG RUNS IMAGENET CLASSES TRAIN VAL PRETRAINED
KEYS = $(foreach key,$(filter-out $(foreach name,$(VARIABLES),$(name)=%),$(MAKEOVERRIDES)),--$(key))

BIN := $(VENV)/bin/python
PATHS = --save_checkpoint_path $(RUNS) $(if $(IMAGENET),--dataset_path $(IMAGENET)/train --eval_path $(IMAGENET)/val)
TRAIN_IT = $(BIN) -m hlg.train --config_path
EVAL_IT = $(BIN) -m hlg.eval --pretrained "$(PRETRAINED)" --config_path
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

##@ Start here

.PHONY: help
help: ## List the targets
	@awk 'BEGIN { FS = ":.*## " } /^##@/ { printf "\n%s\n", substr($$0, 5) } \
	  /^[a-z0-9-]+:.*## / { printf "  make %-15s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@printf '\nKeys of the configuration go behind a target: make train CONFIG=configs/tiny.yml seed=2\n'

.PHONY: setup
setup: ## Build .venv from the hashed lock; seconds when it is there
	@$(PYTHON) repro/bootstrap.py --venv $(VENV) --lock docker/requirements-dev.lock

.PHONY: tiny
tiny: setup tiny-data ## Data, training, evaluation and results table on this machine, in minutes
	$(TRAIN_IT) configs/tiny.yml --save_checkpoint_path $(RUNS) $(KEYS)
	$(BIN) -m hlg.eval --config_path configs/tiny.yml --pretrained $(RUNS)/latest_tiny --save_checkpoint_path $(RUNS) $(KEYS)
	$(BIN) -m repro.report --runs $(RUNS)

.PHONY: tiny-data
tiny-data: setup ## Draw the tiny data set, or carve it: IMAGENET=/path CLASSES=10 TRAIN=64 VAL=16
	$(BIN) -m hlg.data.tiny --out data/tiny --classes $(CLASSES) --train $(TRAIN) --val $(VAL)$(if $(IMAGENET), --imagenet $(IMAGENET))

##@ Train, evaluate, report

.PHONY: train
train: setup ## Train a recipe: CONFIG=... IMAGENET=... and any key=value
	$(TRAIN_IT) $(CONFIG) $(PATHS) $(KEYS)

.PHONY: eval
eval: setup ## Evaluate a checkpoint: CONFIG=... PRETRAINED=file.ckpt or a run folder
	$(EVAL_IT) $(CONFIG) $(PATHS) $(KEYS)

.PHONY: report
report: setup ## Set the runs under RUNS beside the published figures: results/report.md
	$(BIN) -m repro.report --runs $(RUNS)

.PHONY: fingerprint
fingerprint: setup ## Does this stack compute HLG-Mobile? Forward, backward, optimiser against published values
	$(BIN) -m hlg.fingerprint --golden tests/hlg/fixtures/golden.npz

##@ On one accelerator (built from the same code, never run by this project)

.PHONY: train-gpu1 train-ascend1 eval-gpu eval-ascend
train-gpu1: setup ## Train on one GPU
	$(TRAIN_IT) $(CONFIG) --run_distribute 0 --device_target GPU $(PATHS) $(KEYS)
train-ascend1: setup ## Train on one Ascend
	$(TRAIN_IT) $(CONFIG) --run_distribute 0 --device_target Ascend $(PATHS) $(KEYS)
eval-gpu: setup ## Evaluate on one GPU, float32 as published: PRETRAINED=... IMAGENET=...
	$(EVAL_IT) $(CONFIG) --run_distribute 0 --device_target GPU --amp_level O0 $(PATHS) $(KEYS)
eval-ascend: setup ## Evaluate on one Ascend: PRETRAINED=... IMAGENET=...
	$(EVAL_IT) $(CONFIG) --run_distribute 0 --device_target Ascend $(PATHS) $(KEYS)

##@ Work on the code

.PHONY: test
test: setup ## Run the tests
	$(BIN) -m pytest -n 2 --dist loadfile

.PHONY: lint
lint: setup ## Style and types
	$(BIN) -m ruff check .
	$(BIN) -m ruff format --check .
	$(BIN) -m mypy hlg repro

.PHONY: lock
lock: ## Renew the hashed locks after a change of pyproject.toml (needs uv)
	@for extra in "" dev; do \
	  out=docker/requirements$${extra:+-$$extra}.lock; \
	  uv pip compile pyproject.toml $${extra:+--extra $$extra} --universal --python-version 3.11 --quiet \
	    --generate-hashes --no-emit-index-url --no-annotate --no-header --output-file $$out; \
	  sed -i '1i # Made by `make lock` from pyproject.toml: every package that is installed, with its hashes.' $$out; \
	done

.PHONY: clean
clean: ## Remove what was built: the environment, drawn data, caches; runs are kept
	rm -rf $(VENV) data/tiny .mypy_cache .ruff_cache .hypothesis
