# Every entry point. A bare `make` lists them.

PYTHON ?= python3
VENV   ?= .venv
CONFIG ?= configs/hlg_mobile.yml
RUNS   ?= results/runs

# A folder with ImageNet's train/ and val/: to train or evaluate on, or to carve the tiny subset from.
IMAGENET   ?=
PRETRAINED ?=
# Images for make predict.
IMAGES     ?=
# A folder with ImageNet's archives, to make ImageNet's folders of in OUT.
ARCHIVES   ?=
OUT        ?=
# Where make imagenet-verify puts its report, unless beside the data.
REPORT     ?=
# The tiny subset: classes, and images of each.
CLASSES    ?= 10
TRAIN      ?= 128
VAL        ?= 32

# An unfinished run's folder (or a checkpoint in it) to go on with, by its own configuration unless CONFIG is given.
RESUME ?=
# Run folders to verify or, also a log in the published format, to audit.
RUN    ?=
# Train once for each of these, such as SEEDS="1 2 3".
SEEDS  ?=
# The precision and the ranks of make fingerprint, where its JSON files go, and two of them to compare.
AMP    ?= O0
RANKS  ?= 1
FINGERPRINTS = results/fingerprint
A      ?=
B      ?=
# How often make baseline repeats its short run.
REPEAT ?= 5
# What make plan is told. What is empty is measured, published or assumed, and its table says which.
CARDS             ?=
CARDS_PER_MACHINE ?=
STEP_MS           ?=
INPUT_RATE        ?=
CORES             ?=
LINK_GBPS         ?=
# Several machines: the same command on each of NODES, with NODE_RANK 0, 1, ... and the address of the first one.
NODES     ?= 1
NODE_RANK ?=
MASTER    ?=
# Ascend clusters described by a rank table need no MASTER.
RANK_TABLE_FILE ?=
# More options of `python -m repro.cluster` (--help), such as CLUSTER_OPTIONS="--time 72:00:00 --queue big".
CLUSTER_OPTIONS ?=

# 1: in a container. Targets for accelerators are, unless CONTAINER=0; the others are not, unless CONTAINER=1.
CONTAINER ?= 0
DEVICE    ?= cpu
ifneq ($(filter-out 0 1,$(CONTAINER)),)
$(error CONTAINER: found '$(CONTAINER)'; allowed: 0 or 1)
endif
ifneq ($(filter-out O0 O2 O3,$(AMP)),)
$(error AMP: found '$(AMP)'; allowed: O0, O2 or O3)
endif
ifneq ($(filter-out cpu gpu ascend,$(DEVICE)),)
$(error DEVICE: found '$(DEVICE)'; allowed: cpu, gpu or ascend)
endif
# docker/build.sh and docker/run.sh say what these mean.
export ENGINE IMAGE BASE_IMAGE CANN CHIP CA_BUNDLE PIP_CONFIG BUILD_OPTIONS RUN_OPTIONS DEVICES DRY_RUN

# Any other name=value on the command line is a key of the configuration: `make train seed=2 max_epoch=5`.
empty :=
space := $(empty) $(empty)
LOWERCASE := $(addsuffix %,a b c d e f g h i j k l m n o p q r s t u v w x y z)
KEYS = $(subst |,\ ,$(addprefix --,$(filter $(LOWERCASE),$(subst \$(space),|,$(MAKEOVERRIDES)))))

# Python on this machine, or in the container of DEVICE with COUNT accelerators, which sees nothing but MOUNTS.
BIN = $(if $(filter 1,$(CONTAINER)),$(INSIDE),$(UNCHOSEN)$(if $(DRY_RUN),echo )$(VENV)/bin/python)
UNCHOSEN = $(if $(and $(DEVICES),$(COUNT)),$(error DEVICES: found $(DEVICES), which a container would be given; without \
  one set CUDA_VISIBLE_DEVICES or ASCEND_RT_VISIBLE_DEVICES instead))
INSIDE = docker/run.sh $(if $(COUNT),--devices $(COUNT)) $(if $(filter-out 1,$(NODES)),--nodes $(NODES)) $(MOUNTS) $(DEVICE) python
MOUNTS = --write $(RUNS) $(addprefix --write ,$(RESUMED)) $(addprefix --read ,configs $(CONFIG) $(READ))
RESUMED = $(if $(filter %.ckpt,$(RESUME)),$(patsubst %/checkpoints/,%,$(dir $(RESUME))),$(RESUME))
READ = $(wildcard data) $(if $(IMAGENET),$(IMAGENET)/train $(IMAGENET)/val) $(dataset_path) $(eval_path) \
  $(PRETRAINED) $(pretrained) $(class_names) $(RANK_TABLE_FILE)

PATHS = --save_checkpoint_path $(RUNS) $(DATA)
DATA = $(if $(IMAGENET),--dataset_path $(IMAGENET)/train --eval_path $(IMAGENET)/val)
# A name without a folder is one in results/export.
EXPORTED = $(if $(file_name),$(if $(findstring /,$(file_name)),,results/export/)$(file_name),results/export/hlg_mobile.mindir)
RECIPE = $(if $(and $(RESUME),$(filter file,$(origin CONFIG))),,--config_path $(CONFIG))$(if $(RESUME), --resume $(RESUME))
LAUNCH = $(BIN) -m hlg.launch --logs $(LOGS)$(if $(SEEDS), --seeds "$(SEEDS)")
LOGS = $(RUNS)/.ranks
NODE = $(if $(NODE_RANK),--node_rank $(NODE_RANK))
# $(call ranks,N): start N ranks on this machine, of N x NODES in all, and watch over them.
ranks = $(LAUNCH) --ranks $$(($(1) * $(NODES))) --nodes $(NODES) $(NODE)$(if $(MASTER), --master $(MASTER))
train = hlg.train $(RECIPE) $(PATHS)
evaluate = hlg.eval $(CHECKPOINT) --config_path $(CONFIG) $(PATHS)
CHECKPOINT = $(if $(PRETRAINED),--pretrained "$(PRETRAINED)")
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
setup: ## Build .venv from the hashed lock, or with CONTAINER=1 the image; seconds when it is there
	@$(if $(filter 1,$(CONTAINER)),docker/build.sh $(DEVICE),$(if $(DRY_RUN),echo )$(PYTHON) repro/bootstrap.py \
	  --venv $(VENV) --lock docker/dev.lock)

.PHONY: tiny
tiny: MOUNTS = --write results --write $(RUNS) --read configs --read data
tiny: setup tiny-data ## Data, training, evaluation and results table on this machine, in minutes
	$(LAUNCH) hlg.train --config_path configs/tiny.yml --save_checkpoint_path $(RUNS) $(KEYS)
	$(BIN) -m hlg.eval --config_path configs/tiny.yml --pretrained $(RUNS)/latest_tiny --save_checkpoint_path $(RUNS) $(KEYS)
	$(BIN) -m repro.report --runs $(RUNS)

.PHONY: tiny-data
tiny-data: MOUNTS = --write data $(if $(IMAGENET),--read $(IMAGENET))
tiny-data: setup ## Draw the tiny data set, or carve it: IMAGENET=/path CLASSES=10 TRAIN=64 VAL=16
	$(BIN) -m hlg.data.tiny --out data/tiny --classes $(CLASSES) --train $(TRAIN) --val $(VAL)$(if $(IMAGENET), --imagenet $(IMAGENET))

##@ The real data

.PHONY: imagenet imagenet-verify
imagenet: MOUNTS = $(addprefix --write ,$(OUT)) $(addprefix --read ,$(ARCHIVES))
imagenet: setup ## Make ImageNet's folders of its archives: ARCHIVES=/downloads OUT=/data/imagenet
	$(BIN) -m hlg.data.imagenet --archives "$(ARCHIVES)" --out "$(OUT)"

imagenet-verify: MOUNTS = $(addprefix --write ,$(or $(REPORT),$(IMAGENET))) $(addprefix --read ,$(IMAGENET))
imagenet-verify: setup ## Look at every image of a data set: IMAGENET=/path, and REPORT=folder where it is read-only
	$(BIN) -m hlg.data.imagenet.verify --imagenet "$(IMAGENET)"$(if $(REPORT), --report "$(REPORT)")

##@ Train, evaluate, report

.PHONY: train
train: setup ## Train a recipe on one device: CONFIG=... IMAGENET=... RESUME=... SEEDS="1 2 3" and any key=value
	$(LAUNCH) $(train) $(KEYS)

.PHONY: train-cpu2
train-cpu2: MOUNTS = --write $(RUNS) $(addprefix --write ,$(RESUMED)) --read configs --read data
train-cpu2: setup tiny-data ## Train the tiny recipe on two ranks of this machine's CPU
	$(call ranks,2) hlg.train $(if $(RESUME),$(RECIPE),--config_path configs/tiny.yml) \
	  --batch_size 8 --save_checkpoint_path $(RUNS) $(KEYS)

.PHONY: eval eval-cpu
eval-cpu: setup ## Evaluate a published checkpoint on this machine's CPU, float32: PRETRAINED=... IMAGENET=...
	$(LAUNCH) $(evaluate) --device_target CPU --amp_level O0 $(KEYS)
eval: setup ## Evaluate a checkpoint: CONFIG=... PRETRAINED=file.ckpt or a run folder
	$(LAUNCH) $(evaluate) $(KEYS)

.PHONY: predict export
predict: READ += $(IMAGES)
predict: setup ## The five likeliest classes of IMAGES="cat.jpg dog.jpg": PRETRAINED=... and IMAGENET=... or class_names=...
	$(BIN) -m hlg.predict $(IMAGES) $(CHECKPOINT) --config_path $(CONFIG) $(DATA) \
	  --device_target CPU --amp_level O0 --run_distribute 0 $(KEYS)

export: CONFIG = configs/hlg_export.yml
export: MOUNTS = --write $(dir $(EXPORTED)) $(addprefix --read ,configs $(CONFIG) $(READ))
export: setup ## Write MINDIR for use elsewhere, checked: PRETRAINED=... file_format=ONNX|SAFETENSORS file_name=...
	$(BIN) -m hlg.export $(CHECKPOINT) --config_path $(CONFIG) $(DATA) $(KEYS) --file_name $(EXPORTED)

.PHONY: report
report: MOUNTS = --write results --write $(RUNS)
report: setup ## Set the runs under RUNS beside the published figures: results/report.md, report.html, report/
	$(BIN) -m repro.report --runs $(RUNS)

# Its recipe and its place come last, so that no key on the command line changes what is checked. Another instruction set
# rounds otherwise: by how much losses part then is the band of a baseline.
CHECK = $(LAUNCH) hlg.train $(KEYS) --config_path configs/check.yml $(TARGET_$(DEVICE)) --save_checkpoint_path
TARGET_gpu = --device_target GPU
TARGET_ascend = --device_target Ascend
NEW = build/baseline
COMMITTED = $(if $(DRY_RUN),true,! command -v git >/dev/null || git diff --quiet HEAD) || { echo "error: the code has \
  uncommitted changes; commit first, for what is kept names a commit" >&2; exit 2; }
WITH = $(if $(filter 1,$(CONTAINER)),RUN_OPTIONS="$(RUN_OPTIONS) --env $(1)" $(CHECK),$(subst $(VENV)/bin/python,env $(1) $(VENV)/bin/python,$(CHECK)))

.PHONY: check baseline
check baseline: override SEEDS =
check baseline: COUNT = $(if $(filter-out cpu,$(DEVICE)),1)
check: MOUNTS = --write results --write $(RUNS) --read configs --read data
check: setup tiny-data ## Does it still? Two minutes of training against the kept baselines: DEVICE=cpu|gpu|ascend
	$(if $(DRY_RUN),echo )rm -rf results/check
	$(CHECK) $(RUNS)
	$(BIN) -m repro.check $(RUNS)/latest_check

baseline: MOUNTS = --write results --write $(NEW) --read configs --read data
baseline: LOGS = $(NEW)/.ranks
baseline: setup tiny-data ## Keep what this machine gives, for make check: REPEAT=5 short runs, and what rounding does
	@[[ "$(REPEAT)" =~ ^[0-9]+$$ && $(REPEAT) -ge 2 ]] || { echo "error: REPEAT: found '$(REPEAT)'; allowed: 2 or more" >&2; exit 2; }
	@$(COMMITTED)
	$(if $(DRY_RUN),echo )rm -rf $(NEW)
	for i in $$(seq $(REPEAT)); do $(CHECK) $(NEW); done
	$(if $(filter cpu,$(DEVICE)),$(call WITH,ONEDNN_MAX_CPU_ISA=SSE41) $(NEW))
	$(BIN) -m repro.check.baseline $(NEW)

MANY = build/convergence
.PHONY: convergence
convergence: SEEDS = 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20
convergence: COUNT = $(if $(filter-out cpu,$(DEVICE)),1)
convergence: LOGS = $(MANY)/.ranks
convergence: MOUNTS = --write results --write $(MANY) --read configs --read data
convergence: setup tiny-data ## Keep how that short run goes with 20 seeds, for make check: SEEDS="1 2 ..." of 10 or more
	@[[ $(words $(sort $(SEEDS))) -ge 10 ]] || { echo "error: SEEDS: found $(words $(sort $(SEEDS))); allowed: 10 different ones or more" >&2; exit 2; }
	@$(COMMITTED)
	$(if $(DRY_RUN),echo )rm -rf $(MANY)
	$(CHECK) $(MANY) --graph_cache $(MANY)/.graphs --calibration_interval 0
	$(BIN) -m repro.check.convergence $(MANY)

# It measures where a DEVICE is named, and input alone on the images of IMAGENET where none is. A CPU takes 8 images a
# step, unless CONFIG or batch_size says otherwise; without images of its own hlg.bench draws some.
PLAN = build/plan
DEFAULTS = $(filter file,$(origin CONFIG))
ON = $(filter-out file,$(origin DEVICE))
PLANNED = $(if $(ON),$(if $(STEP_MS),,step) evaluate) $(if $(INPUT_RATE),,$(if $(ON)$(IMAGENET),input))
ON_cpu = --device_target CPU --amp_level O0 $(if $(DEFAULTS),--batch_size 8)
measured = $(if $(filter $(1),$(PLANNED)),$(BIN) -m hlg.bench $(1) --steps $(2) --json $(PLAN)/$(1).json \
  --config_path $(CONFIG) $(or $(DATA),$(if $(DEFAULTS),--dataset_path= --eval_path=)) --run_distribute 0 \
  $(or $(TARGET_$(DEVICE)),$(ON_cpu)) $(KEYS))
given = $(if $($(1)),--$(2) "$($(1))")

.PHONY: plan
plan: COUNT = $(if $(filter-out cpu,$(DEVICE)),1)
plan: MOUNTS = --write $(PLAN) $(addprefix --read ,configs $(CONFIG) $(READ))
plan: setup ## How long, and what stands in the way? DEVICE=cpu|gpu|ascend CARDS=64 IMAGENET=/path STEP_MS=373 LINK_GBPS=100
	$(call measured,step,10)
	$(call measured,evaluate,2)
	$(call measured,input,8)
	$(BIN) -m repro.plan $(foreach what,$(PLANNED),--$(what) $(PLAN)/$(what).json) $(call given,CARDS,cards) \
	  $(call given,CARDS_PER_MACHINE,cards-per-machine) $(call given,STEP_MS,step-ms) $(call given,INPUT_RATE,input-rate) \
	  $(if $(STEP_MS),$(call given,batch_size,batch)) $(call given,CORES,cores) $(call given,LINK_GBPS,link-gbps) \
	  $(call given,max_epoch,epochs) --json $(PLAN)/plan.json

.PHONY: audit
audit: MOUNTS = --write results --write $(RUNS) $(addprefix --read ,$(RUN))
audit: setup ## Can its figures all be true at once? Of what was published, or RUN=run folder or log
	$(BIN) -m repro.audit $(RUN)

.PHONY: verify
verify: MOUNTS = $(addprefix --read ,$(wildcard $(RUNS)) $(RUN))
verify: setup ## Is a run folder what it was when it was sealed? RUN=...
	$(BIN) -m repro.records.verify $(RUN)

.PHONY: fingerprint fingerprint-diff
fingerprint: CONTAINER = $(if $(filter cpu,$(DEVICE)),0,1)
fingerprint: COUNT = $(if $(filter-out cpu,$(DEVICE)),$(RANKS))
fingerprint: MOUNTS = --write $(FINGERPRINTS)
fingerprint: LOGS = $(FINGERPRINTS)/.ranks
fingerprint: setup ## Does this stack compute HLG-Mobile, and where does it part first? DEVICE=cpu|gpu|ascend AMP=O0|O2|O3 RANKS=1
	$(call ranks,$(RANKS)) hlg.fingerprint $(TARGET_$(DEVICE)) --amp_level $(AMP) --out $(FINGERPRINTS) $(KEYS)

fingerprint-diff: MOUNTS = $(addprefix --read ,$(A) $(B))
fingerprint-diff: setup ## Two fingerprints side by side, of machines, versions or precisions: A=... B=...
	$(BIN) -m repro.fingerprint_diff "$(A)" "$(B)"

# Where the checks run: on this machine, and in the container too, which sees another part of it.
DOCTOR = -m repro.doctor --device $(DEVICE) --devices "$(DEVICES)" --imagenet "$(IMAGENET)" --runs $(RUNS) --venv $(VENV) \
  --epochs $(or $(max_epoch),300)
comma := ,

.PHONY: doctor
doctor: CONTAINER = $(if $(filter cpu,$(DEVICE)),0,1)
doctor: COUNT = $(if $(filter-out cpu,$(DEVICE)),$(words $(subst $(comma), ,$(or $(DEVICES),0))))
doctor: MOUNTS = --write $(RUNS) $(if $(IMAGENET),--read $(IMAGENET)/train --read $(IMAGENET)/val)
doctor: ## Is this machine fit for a long run? DEVICE=cpu|gpu|ascend DEVICES=0,1,2,3 IMAGENET=/path
	@$(if $(filter 1,$(CONTAINER)),! command -v $(PYTHON) >/dev/null || )$(PYTHON) $(DOCTOR) \
	  $(if $(filter 1,$(CONTAINER)),--container $(or $(ENGINE),any))
	@$(if $(filter 1,$(CONTAINER)),docker/build.sh $(DEVICE) && $(INSIDE) $(DOCTOR))

##@ Containers, for make tiny CONTAINER=1 and for accelerators; they need docker or podman, and no Python

.PHONY: image-cpu image-gpu image-ascend
image-cpu: ## Build the image for a CPU
image-gpu: ## Build the image for NVIDIA GPUs
image-ascend: ## Build the image for Ascends: CANN=9.1.0 CHIP=910, or 910b for Atlas A2
image-cpu image-gpu image-ascend: image-%:
	@docker/build.sh $*

##@ On accelerators, in containers unless CONTAINER=0 (built from the same code, never run by this project)

GPU := train-gpu1 train-gpu8 eval-gpu
ASCEND := train-ascend1 train-ascend8 eval-ascend
$(GPU): DEVICE = gpu
$(ASCEND): DEVICE = ascend
$(GPU) $(ASCEND): CONTAINER = 1
$(GPU) $(ASCEND): COUNT = 1
train-gpu8 train-ascend8: COUNT = 8

.PHONY: train-gpu1 train-gpu8 train-ascend1 train-ascend8
train-gpu1: setup ## Train on one GPU
	$(LAUNCH) $(train) --device_target GPU $(KEYS)
train-gpu8: setup ## Train on eight GPUs, of each of NODES machines
	$(call ranks,8) $(train) --device_target GPU $(KEYS)
train-ascend1: setup ## Train on one Ascend
	$(LAUNCH) $(train) --device_target Ascend $(KEYS)
train-ascend8: setup ## Train on eight Ascends as published, of each of NODES machines or of RANK_TABLE_FILE
	$(if $(RANK_TABLE_FILE),$(LAUNCH) --rank_table $(RANK_TABLE_FILE) $(NODE),$(call ranks,8)) \
	  $(train) --device_target Ascend $(KEYS)

.PHONY: eval-gpu eval-ascend
eval-gpu: setup ## Evaluate on one GPU, float32 as published: PRETRAINED=... IMAGENET=...
	$(LAUNCH) $(evaluate) --device_target GPU --amp_level O0 $(KEYS)
eval-ascend: setup ## Evaluate on one Ascend: PRETRAINED=... IMAGENET=...
	$(LAUNCH) $(evaluate) --device_target Ascend $(KEYS)

.PHONY: cluster-files
cluster-files: ## What starts a run on NODES machines, by Slurm or Kubernetes: DEVICE=gpu IMAGE=... IMAGENET=/... RUNS=/...
	@$(PYTHON) -m repro.cluster --nodes $(NODES) --device $(if $(filter file,$(origin DEVICE)),ascend,$(DEVICE)) \
	  --config $(CONFIG) --imagenet "$(IMAGENET)" --runs "$(abspath $(RUNS))" $(if $(IMAGE),--image $(IMAGE)) \
	  $(if $(CHIP),--chip $(CHIP)) $(if $(filter command line,$(origin CONTAINER)),$(if $(filter 0,$(CONTAINER)),--python $(VENV)/bin/python)) \
	  $(CLUSTER_OPTIONS) $(if $(KEYS),-- $(KEYS))

##@ Work on the code

test faults lint test-gate test-page bench bench-compare profile: override CONTAINER = 0

# By file, whose tests share what they have trained. A process that dies is not begun again with the test that killed it.
BY_FILE = --dist loadfile --max-worker-restart 0

.PHONY: test
test: setup ## Run the tests
	$(BIN) -m pytest -n 2 $(BY_FILE) --ignore tests/drills --ignore tests/benchmarks

.PHONY: faults
faults: setup ## Break running jobs in every way we know, and print what happened and what was lost
	$(BIN) -m pytest tests/drills/faults -n 4 $(BY_FILE)

# Where the results of make bench and make profile go, and what make profile and make bench-compare measure.
BENCH   ?= build/bench.json
PROFILE ?= build/profile
WHAT    ?= step
ROUNDS  ?= 8
MEASURED = --batch_size 8 $(KEYS)

.PHONY: bench bench-compare profile
bench: setup ## How fast? Forward, step, evaluation, input, reading of logs, with ratios that hold on other machines
	mkdir -p $(dir $(BENCH))
	$(BIN) -m pytest tests/benchmarks --benchmark-only --benchmark-columns=median,iqr,rounds --benchmark-json $(BENCH)

bench-compare: setup ## Which is faster? Two commits by turns, . for the code as it stands: A=main B=. WHAT=step ROUNDS=8
	$(BIN) -m repro.bench.compare "$(A)" "$(B)" --what $(WHAT) --rounds $(ROUNDS) -- $(MEASURED)

profile: setup ## Which operators does the time go to? WHAT=step|forward|evaluate PROFILE=folder
	$(BIN) -m hlg.bench $(WHAT) --steps 5 --profile $(PROFILE) $(MEASURED)

.PHONY: test-image
test-image: ## Try the CPU image with this machine's engine, and the run that make tiny CONTAINER=1 has left under RUNS
	$(VENV)/bin/python -m pytest tests/drills/image --runs $(RUNS)

.PHONY: test-gate
test-gate: setup ## Plant regressions, train, and see whether the gate of make check finds them
	$(BIN) -m pytest tests/drills/regressions

.PHONY: test-page
test-page: setup ## Try the report's page in Chromium: wide, narrow, light, dark, printed, by keyboard
	$(BIN) -m pytest tests/drills/page -n 2

.PHONY: lint
lint: setup ## Style and types
	$(BIN) -m ruff check .
	$(BIN) -m ruff format --check .
	$(BIN) -m mypy hlg repro
	$(VENV)/bin/check-jsonschema --quiet --builtin-schema vendor.github-workflows .github/workflows/*.yml
	$(VENV)/bin/check-jsonschema --quiet --builtin-schema vendor.gitlab-ci --data-transform gitlab-ci .gitlab/*.yml
	$(VENV)/bin/zizmor --quiet --offline --persona pedantic .github
	PATH="$(abspath $(VENV))/bin:$$PATH" && shellcheck --external-sources docker/*.sh docker/cluster/*.sh .ci/* && hadolint docker/*.Dockerfile

.PHONY: lock
lock: ## Renew the hashed locks after a change of pyproject.toml (needs uv)
	@for image in cpu gpu ascend dev; do \
	  extra=$${image#cpu}; out=docker/$$image.lock; \
	  uv pip compile pyproject.toml $${extra:+--extra $$extra} --universal --python-version 3.11 --quiet \
	    --generate-hashes --no-emit-index-url --no-annotate --no-header --output-file $$out; \
	  sed -i '1i # Made by `make lock` from pyproject.toml: every package that is installed, with its hashes.' $$out; \
	done

.PHONY: clean
clean: ## Remove what was built: the environment, drawn data, caches; runs are kept
	rm -rf $(VENV) data/tiny .mypy_cache .ruff_cache .hypothesis
