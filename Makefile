# Every entry point. A bare `make` lists them.
#
# A target reads like a sentence, $(START) PROGRAM: docker/start.sh makes the command of it, with these variables, which
# it finds in its environment, and prints it.
START = docker/start.sh
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
export

PYTHON ?= python3
# A release of MindSpore, each with an environment or image of its own; `make stacks` lists them, the default first.
MINDSPORE ?=
DEFAULT_RELEASE := $(shell sed -n '2s/^"\([^"]*\)".*/\1/p' docker/stacks.json)
VENV   ?= .venv$(addprefix -,$(filter gpu ascend,$(DEVICE)))$(addprefix -,$(filter-out $(DEFAULT_RELEASE),$(MINDSPORE)))
RUNS   ?= results/runs
# The tiny subset: classes, and images of each.
CLASSES ?= 10
TRAIN   ?= 128
VAL     ?= 32
# The batches that make bench-cpu, bench-gpu and bench-ascend count; how often make baseline repeats its short run and
# make published the authors' training; of how many machines this is one.
STEPS  ?= 100
REPEAT ?= 5
NODES  ?= 1
# Where the results of make bench and make profile go, and what make profile and make bench-compare measure.
BENCH   ?= build/bench.json
PROFILE ?= build/profile
WHAT    ?= step
ROUNDS  ?= 8
TREND   ?= results/baselines
# Empty unless they are given:
# CONFIG      a recipe; else configs/hlg_mobile.yml or the target's own
# DEVICE      cpu, gpu or ascend; CONTAINER: 1 in a container, 0 not, by default for accelerators alone. docker/run.sh and
#             docker/build.sh explain the other variables of containers
# CARDS       how many of this machine, or of each of NODES: as many as DEVICES names, else 1; ranks on a CPU
# IMAGENET    a folder with ImageNet's train/ and val/; ARCHIVES: of its archives or unsorted images, OUT: where to sort
#             them to, LINK=1: link unpacked ones, not copy them; REPORT: of make imagenet-verify, if not beside the data
# PRETRAINED  weights; IMAGES: for make predict
# RESUME      an unfinished run's folder, or a checkpoint in it; RUN: run folders, to audit also a log as published
# A, B        two to compare: runs, fingerprints, releases or commits; TARGET_TOP1: the accuracy to compare the time to
# FORMAT      of make export-runs, whose folder is OUT
# SEEDS       train once for each, such as "1 2 3"; VERSIONS: the releases to measure, by default all
# AMP         precision: O0, O2 or O3 for make fingerprint, several for make bench-cpu, -gpu and -ascend; BATCHES: theirs
# STEP_MS to LINK_GBPS  what make plan is told; what is empty is measured, published or assumed, and its table says which
# NODE_RANK   of several machines, with the same command on each: 0, 1, ... and in MASTER the address of the first one,
#             or for Ascends RANK_TABLE_FILE
# PUBLISHED   the folder research/cv/hlg of the authors' own code; PYTHON39: a Python 3.9 for it
# CLUSTER_OPTIONS  of `python -m repro.cluster` (--help), such as "--time 72:00:00 --queue big"
EMPTY := CONFIG DEVICE CONTAINER IMAGENET ARCHIVES OUT LINK REPORT PRETRAINED IMAGES RESUME RUN SEEDS VERSIONS A B \
  TARGET_TOP1 AMP BATCHES CARDS STEP_MS INPUT_RATE CORES LINK_GBPS NODE_RANK MASTER RANK_TABLE_FILE PUBLISHED PYTHON39 \
  CLUSTER_OPTIONS FORMAT
$(foreach name,$(EMPTY),$(eval $(name) ?=))

# What was typed behind make: no target runs unless it reads all of that. Each value then is what was typed: make would
# expand what a $ begins.
TYPED := $(foreach name,$(.VARIABLES),$(if $(filter command,$(origin $(name))),$(name)))
quoted = '$(subst ','\'',$(1))'
REFUSED := $(if $(TYPED),$(shell docker/variables.sh $(call quoted,$(TYPED)) $(call quoted,$(MAKECMDGOALS)) || echo docker/variables.sh failed))
$(if $(REFUSED),$(error $(REFUSED)))
$(foreach name,$(TYPED),$(eval override $(name) := $$(value $(name))))
# A name in small letters is a key of the configuration: `make train seed=2 max_epoch=5`. Its value is in KEY_<name>.
SMALL := $(addsuffix %,a b c d e f g h i j k l m n o p q r s t u v w x y z)
KEYS := $(sort $(filter $(SMALL),$(TYPED)))
$(foreach name,$(KEYS),$(eval KEY_$(name) := $$(value $(name)))$(eval unexport $(name)))

# A target's name may say the device, and how many.
%-cpu %-cpu2: override DEVICE = cpu
%-gpu %-gpu1 %-gpu8: override DEVICE = gpu
%-ascend %-ascend1 %-ascend8: override DEVICE = ascend
%1 tiny check baseline convergence: override CARDS = 1
%2: override CARDS = 2
%8: override CARDS = 8
%1: override RANK_TABLE_FILE =

# No target is a file.
.PHONY: $(shell sed -n 's/^\([a-z].*\):.* ## .*/\1/p' Makefile)

##@ Start here

help: ## List the targets
	@awk 'BEGIN { FS = ":.*## " } /^##@/ { printf "\n%s\n", substr($$0, 5) } \
	  /^[a-z0-9 -]+:.*## / { n = split($$1, names, " "); for (i = 1; i <= n; i++) printf "  make %-16s %s\n", names[i], $$2 }' \
	  $(MAKEFILE_LIST)
	@printf '\nKeys of the configuration go behind a target: make train CONFIG=configs/tiny.yml seed=2\n'

setup: ## Build .venv from the hashed lock, or an image: DEVICE=cpu|gpu|ascend CONTAINER=0|1; seconds once it is there
	@$(START) setup

tiny: setup tiny-data ## Data, training, evaluation and results table on this machine, in minutes
	@$(START) train-tiny
	@$(START) eval-tiny
	@$(START) report

tiny-data: setup ## Draw the tiny data set, or carve it out of ImageNet: IMAGENET=/path CLASSES=10 TRAIN=64 VAL=16
	@$(START) tiny-data

##@ The real data

imagenet: setup ## Unpack or sort ImageNet into class folders, resumable: ARCHIVES=/downloads OUT=/data/imagenet LINK=1
	@$(START) imagenet
imagenet-verify: setup ## Verify every image of a data set: IMAGENET=/path, and REPORT=folder where it is read-only
	@$(START) imagenet-verify

##@ Train, evaluate, report

train: setup ## Train a recipe: CONFIG=... IMAGENET=... RESUME=... SEEDS="1 2 3" DEVICE=cpu|gpu|ascend CARDS=2, any key=value
	@$(START) train
train-cpu2: setup tiny-data ## Train the tiny recipe on two ranks of this machine's CPU
	@$(START) train-tiny --batch_size 8
eval-cpu: setup ## Evaluate a published checkpoint on this machine's CPU, float32: PRETRAINED=... IMAGENET=...
	@$(START) evaluate
eval: setup ## Evaluate a checkpoint: CONFIG=... PRETRAINED=file.ckpt or a run folder, DEVICE=cpu|gpu|ascend CARDS=2
	@$(START) evaluate
predict: setup ## Top-5 predictions for IMAGES="cat.jpg dog.jpg": PRETRAINED=... and IMAGENET=... or class_names=...
	@$(START) predict
export: setup ## Export to MINDIR and compare with the network: PRETRAINED=... file_format=ONNX|SAFETENSORS file_name=...
	@$(START) export-network

export-runs: setup ## Write runs, also running ones, for FORMAT=tensorboard|mlflow|wandb-offline: RUN="folders" OUT=folder
	@$(START) export-runs
report: setup ## Compare the runs under RUNS with the published figures: results/report.md, report.html, report/
	@$(START) report
compare: setup ## Compare runs, finished or not, and say where their numbers part: A=run B=run or RUN="a b c" TARGET_TOP1=75
	@$(START) compare
bench-cpu bench-gpu bench-ascend: setup ## Measure one card to all: CARDS=8 BATCHES="32 64" AMP="O0 O3" STEPS=100 IMAGENET=/path
	@$(START) bench-device
check: setup tiny-data ## Check this machine for regressions, by two minutes of training: DEVICE=cpu|gpu|ascend
	@$(START) become rm -rf results/check
	@$(START) short-run "$$RUNS"
	@$(START) check

baseline: setup tiny-data ## Record a baseline for make check: REPEAT=5 short runs plus a rounding band
	@$(START) begin-baseline build/baseline
	@for i in $$(seq "$$REPEAT"); do $(START) short-run build/baseline; done
	@$(START) short-run-rounded build/baseline
	@$(START) keep baseline build/baseline

convergence: SEEDS := $(or $(value SEEDS),1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20)
convergence: setup tiny-data ## Record how 20 seeds of that short run converge, for make check: SEEDS="1 2 ..." of 10 or more
	@$(START) begin-convergence build/convergence
	@$(START) short-runs build/convergence --graph_cache build/convergence/.graphs --calibration_interval 0
	@$(START) keep convergence build/convergence

plan: setup ## Predict time, memory and bottleneck: DEVICE=cpu|gpu|ascend CARDS=8 NODES=8 IMAGENET=/path STEP_MS=373
	@$(START) measure step 10
	@$(START) measure evaluate 2
	@$(START) measure input 8
	@$(START) plan

start: DEVICE := $(or $(value DEVICE),cpu)
start: setup ## Before a long training, as far as all is well: doctor, fingerprint, speed, images, plan, and its command: DEVICE=ascend CARDS=8 IMAGENET=/path
	@$(START) doctor
	@$(START) doctor inside
	@NODES=1 $(START) fingerprint for-training
	@$(START) measure step 10
	@$(START) measure evaluate 2
	@$(START) measure input 8
	@$(START) plan for-training

audit: setup ## Check RUN=run folder or log, or else the published figures, for internal consistency
	@$(START) audit
verify: setup ## Verify the seals of run folders: RUN=...
	@$(START) verify
fingerprint: setup ## Compare what this stack computes with float64, layer by layer: DEVICE=cpu|gpu|ascend AMP=O0|O2|O3 CARDS=2
	@$(START) fingerprint
fingerprint-diff: setup ## Compare two fingerprints, of machines, versions or precisions: A=... B=...
	@$(START) fingerprint-diff
releases: setup tiny-data ## Measure releases of MindSpore here: VERSIONS="2.7.0 2.10.0"; resumable, ten minutes each
	@$(START) releases
release-diff: setup ## Say what two measured releases compute, how fast, and where they part: A=2.8.0 B=2.10.0
	@$(START) release-diff
published: setup ## Train the authors' own code on MindSpore 1.7.0: PUBLISHED=models/research/cv/hlg PYTHON39=python3.9
	@$(START) published
reproduce: setup ## Set their code beside ours, with statistics: PUBLISHED=... REPEAT=5 SEEDS="1 2 3 4 5"; resumable, hours
	@$(START) reproduce
stacks: setup ## List the releases of MindSpore that MINDSPORE= takes, and the Python, CUDA and CANN of each
	@$(START) stacks
doctor: ## Is this machine fit for a long run? DEVICE=cpu|gpu|ascend DEVICES=0,1,2,3 IMAGENET=/path
	@$(START) doctor
	@$(START) doctor inside

##@ Images for make tiny CONTAINER=1 and for accelerators; they need docker, podman or Apptainer, and no Python

image-cpu: ## Build the image for a CPU
image-gpu: ## Build the image for NVIDIA GPUs
image-ascend: ## Build the image for Ascends: CANN=9.1.0 CHIP=910, or 910b for Atlas A2
image-cpu image-gpu image-ascend: image-%:
	@docker/build.sh $*

##@ On accelerators, in containers unless CONTAINER=0; never run by this project

train-gpu train-ascend: setup ## Train on CARDS=4 of this machine, or of each of NODES, or on DEVICES=0,2 alone
	@$(START) train
train-gpu1 train-ascend1: setup ## Train on one
	@$(START) train
train-gpu8 train-ascend8: setup ## Train on eight, as published, of each of NODES machines; Ascends also by RANK_TABLE_FILE
	@$(START) train
eval-gpu eval-ascend: setup ## Evaluate on CARDS=8, GPUs in float32 as published: PRETRAINED=... IMAGENET=...
	@$(START) evaluate

cluster-files: DEVICE := $(or $(value DEVICE),ascend)
cluster-files: ## Write batch jobs for CARDS=8 of each of NODES machines, for Slurm and Kubernetes: DEVICE=gpu IMAGE=... IMAGENET=/... RUNS=/...
	@$(START) cluster-files

##@ Work on the code, on this machine

WORK := export-runs trend releases published reproduce test faults test-fingerprint test-gate test-page bench bench-compare lint
$(WORK): override CONTAINER = 0
$(WORK): override DEVICE =
# By file, whose tests share what they have trained. A process that dies is not begun again with the test that killed it.
PYTEST = $(START) python -m pytest
BY_FILE = --max-worker-restart 0 --dist loadfile --no-loadscope-reorder
ONE_BY_ONE = --max-worker-restart 0 --maxschedchunk 1

test: setup ## Run the tests
	@$(PYTEST) -n 4 $(BY_FILE) --ignore tests/drills --benchmark-skip
faults: setup ## Break running jobs in every way we know, and print what happened and what was lost
	@$(PYTEST) tests/drills/faults -n 4 $(ONE_BY_ONE)
test-fingerprint: setup ## Plant faults for make fingerprint to find, and compare with the published implementation
	@$(PYTEST) tests/drills/numerics -n 2 $(ONE_BY_ONE)
test-gate: setup ## Plant regressions, train, and see whether make check finds them
	@$(PYTEST) tests/drills/regressions
test-page: setup ## Test the report's page in Chromium: wide, narrow, light, dark, printed, by keyboard
	@$(PYTEST) tests/drills/page -n 2
test-image: ## Test the CPU image with this machine's engine, and the runs that make tiny CONTAINER=1 left under RUNS
	@"$$VENV/bin/python" -m pytest tests/drills/image --runs "$$RUNS"
bench: setup ## Measure the code, not a device: forward, step, input and more, with ratios that hold on other machines
	@mkdir -p "$$(dirname "$$BENCH")"
	@$(PYTEST) tests/benchmarks --benchmark-only --benchmark-columns=median,iqr,rounds --benchmark-json "$$BENCH"
bench-compare: setup ## Compare the speed of two commits, . for the working tree: A=main B=. WHAT=step ROUNDS=8
	@$(START) bench-compare
trend: setup ## Show kept measurements by commit, and where each moved: TREND=folder of files of make baseline and make bench
	@$(START) trend
profile: setup ## Profile the operators: WHAT=step|forward|evaluate PROFILE=folder DEVICE=cpu|gpu|ascend
	@$(START) profile
lint: setup ## Check style and types
	@bin=$$(realpath "$$VENV/bin"); export PATH="$$bin:$$PATH"; set -x; \
	  ruff check .; ruff format --check .; mypy hlg repro; \
	  check-jsonschema --quiet --builtin-schema vendor.github-workflows .github/workflows/*.yml; \
	  check-jsonschema --quiet --builtin-schema vendor.gitlab-ci --data-transform gitlab-ci .gitlab/*.yml; \
	  check-jsonschema --quiet --builtin-schema vendor.citation-file-format CITATION.cff; \
	  zizmor --quiet --offline --persona pedantic .github; \
	  shellcheck --external-sources docker/*.sh docker/cluster/*.sh .ci/*; hadolint docker/*.Dockerfile
lock: ## Renew the hashed locks after a change of pyproject.toml or of docker/*.in and stacks.json, with uv of .venv or your own
	@$(START) lock
clean: ## Remove what was built: the environment, drawn data, caches; runs are kept
	@$(START) clean
