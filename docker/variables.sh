#!/usr/bin/env bash
# Says which variables of make a target does not read: docker/variables.sh "NAME..." "TARGET..."
# or lists the keys of the configuration: docker/variables.sh --keys
# Prints one line about the first of these names that none of the targets reads, or nothing. What nobody reads would be
# silence: make train SEED=2 would train with the seed 1.
set -euo pipefail

# Where they are declared, one is a line.
list_keys() { sed -n 's/^    \([a-z_0-9]*\): [a-z]* = key(.*/\1/p' "$(dirname "${BASH_SOURCE[0]}")/../hlg/config/keys.py"; }
if [[ $1 == --keys ]]; then
  list_keys
  exit
fi
read -ra typed <<<"$1"
read -ra targets <<<"${2:-help}"

# What each target reads; `keys` stands for every key of the configuration. (Also read, where it is set in the
# environment instead: what docker/run.sh and docker/build.sh list.)
build="ENGINE BASE_IMAGE CA_BUNDLE PIP_CONFIG BUILD_OPTIONS DRY_RUN"
run="PYTHON VENV MINDSPORE CONTAINER IMAGE CANN CHIP RUN_OPTIONS $build"  # in .venv, or in a container
device="DEVICE DEVICES"
nodes="NODES NODE_RANK MASTER"
cards="CARDS $nodes"
tiny="IMAGENET CLASSES TRAIN VAL"
recipe="CONFIG IMAGENET RUNS keys"
work="PYTHON VENV MINDSPORE DRY_RUN"
measured="BATCHES AMP CARDS STEPS IMAGENET RESUME keys"
declare -A reads=(
  [help]=""
  [setup]="DEVICE PYTHON VENV MINDSPORE CONTAINER IMAGE CANN CHIP $build"
  [tiny]="$run $tiny RUNS RESUME SEEDS keys"
  [tiny-data]="$run $tiny"
  [imagenet]="$run ARCHIVES OUT LINK"
  [imagenet-verify]="$run IMAGENET REPORT"
  [train]="$run $device $cards RANK_TABLE_FILE $recipe RESUME SEEDS"
  [train-cpu2]="$run $nodes $tiny RUNS RESUME SEEDS keys"
  [eval-cpu]="$run $cards $recipe PRETRAINED"
  [eval]="$run $device $cards $recipe PRETRAINED"
  [predict]="$run $device $recipe PRETRAINED IMAGES"
  [export]="$run $device CONFIG IMAGENET PRETRAINED keys"
  [report]="$run RUNS"
  [compare]="$run A B RUN TARGET_TOP1"
  [export-runs]="$work FORMAT RUN RUNS OUT"
  [check]="$run $device RUNS keys"
  [baseline]="$run $device REPEAT keys"
  [convergence]="$run $device SEEDS keys"
  [plan]="$run $device CONFIG IMAGENET CARDS NODES STEP_MS INPUT_RATE CORES LINK_GBPS keys"
  [audit]="$run RUN"
  [verify]="$run RUN"
  [start]="$run $device $cards $recipe AMP CORES LINK_GBPS"
  [fingerprint]="$run $device $cards AMP keys"
  [fingerprint-diff]="$run A B"
  [stacks]="$run"
  [releases]="PYTHON VENV DRY_RUN VERSIONS"
  [published]="PYTHON VENV DRY_RUN PUBLISHED PYTHON39 REPEAT"
  [reproduce]="PYTHON VENV DRY_RUN PUBLISHED PYTHON39 REPEAT SEEDS"
  [release-diff]="$run A B"
  [doctor]="$run $device CARDS IMAGENET RUNS max_epoch"
  [image-cpu]="MINDSPORE $build"
  [image-gpu]="MINDSPORE $build"
  [image-ascend]="MINDSPORE $build CANN CHIP"
  [train-gpu]="$run DEVICES $cards $recipe RESUME SEEDS"
  [train-gpu1]="$run DEVICES $recipe RESUME SEEDS"
  [train-gpu8]="$run DEVICES $nodes $recipe RESUME SEEDS"
  [train-ascend]="$run DEVICES $cards RANK_TABLE_FILE $recipe RESUME SEEDS"
  [train-ascend1]="$run DEVICES $recipe RESUME SEEDS"
  [train-ascend8]="$run DEVICES $nodes RANK_TABLE_FILE $recipe RESUME SEEDS"
  [eval-gpu]="$run DEVICES $cards $recipe PRETRAINED"
  [eval-ascend]="$run DEVICES $cards $recipe PRETRAINED"
  [cluster-files]="PYTHON VENV CONTAINER DRY_RUN CARDS NODES DEVICE IMAGE ENGINE CHIP CLUSTER_OPTIONS $recipe"
  [test]="$work" [faults]="$work" [test-fingerprint]="$work" [test-gate]="$work" [test-page]="$work"
  [test-image]="VENV RUNS ENGINE RUN_OPTIONS"
  [bench]="$work BENCH"
  [bench-cpu]="$run $measured"
  [bench-gpu]="$run DEVICES $measured"
  [bench-ascend]="$run DEVICES $measured"
  [bench-compare]="$work A B WHAT ROUNDS keys"
  [trend]="$work TREND OUT"
  [profile]="$run $device CONFIG IMAGENET WHAT PROFILE keys"
  [lint]="PYTHON VENV"
  [lock]=""
  [clean]="VENV DRY_RUN"
)

known=()
for target in "${targets[@]}"; do
  [[ -v reads[$target] ]] || exit 0 # make says that there is no such target
  read -ra some <<<"${reads[$target]}"
  known+=("${some[@]}")
done
takes_keys=
[[ " ${known[*]} " != *" keys "* ]] || takes_keys=1

# likeness A B: how much of two names is the same, in percent: their longest common part, in small letters.
likeness() {
  local a=${1,,} b=${2,,} start length
  for ((length = ${#a}; length > 0; length--)); do
    for ((start = 0; start + length <= ${#a}; start++)); do
      if [[ $b == *"${a:start:length}"* ]]; then
        echo $((200 * length / (${#a} + ${#b})))
        return
      fi
    done
  done
  echo 0
}

for name in "${typed[@]}"; do
  [[ " ${known[*]} " != *" $name "* || $name == keys ]] || continue
  [[ -z $takes_keys || ! $name =~ ^[a-z][a-z0-9_]*$ ]] || continue
  mapfile -t candidates < <(printf '%s\n' "${known[@]}" | sed '/^keys$/d; /^$/d' | sort -u)
  [[ -z $takes_keys ]] || mapfile -t -O ${#candidates[@]} candidates < <(list_keys) # the programs know them all
  elsewhere=
  for target in "${!reads[@]}"; do
    [[ " ${reads[$target]} " != *" $name "* ]] || elsewhere+="$target "
  done
  # Where other targets read it, or the environment has it, the name is right: one like it is not what was meant.
  if [[ $name == *_VISIBLE_DEVICES || -n $elsewhere && " ${candidates[*]} " != *" ${name,,} "* ]]; then candidates=(); fi
  declare -A like=()
  best=40
  for candidate in "${candidates[@]}"; do
    like[$candidate]=$(likeness "$name" "$candidate")
    if [[ ${like[$candidate]} -gt $best ]]; then best=${like[$candidate]}; fi
  done
  close=
  for candidate in "${candidates[@]}"; do # the likest, and what is nearly as like
    [[ ${like[$candidate]} -lt 40 || ${like[$candidate]} -lt $((best - 15)) ]] || close+="${close:+ or }$candidate=..."
  done
  if [[ -n $close ]]; then
    more="; did you mean $close?"
  elif [[ -n $elsewhere ]]; then
    more="; these do: $(xargs -n 1 <<<"$elsewhere" | sort | paste -s -d , | sed 's/,/, /g')"
  elif [[ $name =~ ^[a-z] ]]; then
    more=", nor any key of the configuration"
  else
    more="; a variable of the environment goes before make: $name=... make ${targets[*]}"
  fi
  echo "$name: make ${targets[*]} does not read it$more"
  exit
done
