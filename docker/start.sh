#!/usr/bin/env bash
# Starts a program of the suite for the Makefile, in .venv or, with CONTAINER=1, in the image of DEVICE:
#   docker/start.sh [--ranks N] PROGRAM [ARGUMENT]...
#
# The programs are the functions in the second half, with - for _. The variables of make arrive as environment variables,
# so that no shell reads a value twice: blanks and quotes stay. The command is printed and then replaces this script, so
# that signals reach it and its exit code comes back. DRY_RUN=1 only prints it.
#
# shellcheck disable=SC2153,SC2329 # capitals are make's; the last line calls the programs
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# shellcheck source=docker/engine.sh
source "$root/docker/engine.sh"

ranks=
if [[ ${1:-} == --ranks ]]; then
  ranks=$2
  shift 2
fi
device=${DEVICE:-cpu}
config=${CONFIG:-configs/hlg_mobile.yml}
for name in CONTAINER LINK; do
  [[ ${!name} =~ ^[01]?$ ]] || fail "$name: found '${!name}'; allowed: 0 or 1"
done
[[ $AMP =~ ^O[023]$ ]] || fail "AMP: found '$AMP'; allowed: O0, O2 or O3"
[[ $device =~ ^(cpu|gpu|ascend)$ ]] || fail "DEVICE: found '$device'; allowed: cpu, gpu or ascend"
for name in NODES RANKS; do
  [[ ${!name} =~ ^[1-9][0-9]*$ ]] || fail "$name: found '${!name}'; allowed: 1 or more"
done
[[ -n $RANK_TABLE_FILE ]] || export -n RANK_TABLE_FILE # MindSpore reads it too

# Keys of the configuration: the words to pass on, and values by name.
mapfile -t keys < <(printf %s "$KEYS")
declare -A key=()
for i in "${!keys[@]}"; do
  keys[i]=${keys[i]# }
  name=${keys[i]%%=*}
  key[${name#--}]=${keys[i]#*=}
done

data=(${IMAGENET:+--dataset_path "$IMAGENET/train" --eval_path "$IMAGENET/val"})
pretrained=(${PRETRAINED:+--pretrained "$PRETRAINED"})
runs=(--save_checkpoint_path "$RUNS")
# shellcheck disable=SC2206 # several, or patterns
images=($IMAGES) records=($RUN)
target=()
[[ $device != gpu ]] || target=(--device_target GPU)
[[ $device != ascend ]] || target=(--device_target Ascend)

# What a container sees of this machine: paths, of which empty ones do not count, and so many accelerators.
reads=() writes=() count=${ranks:-1}
logs=$RUNS  # a folder for those of the ranks
variable=   # one more in the program's environment: NAME=VALUE

# The recipe is read, and the data set and the weights that it needs.
read_recipe() {
  reads=(configs "$config")
  [[ ! -e data ]] || reads+=(data)
  reads+=(${IMAGENET:+"$IMAGENET/train" "$IMAGENET/val"} "${key[dataset_path]:-}" "${key[eval_path]:-}")
  reads+=("$PRETRAINED" "${key[pretrained]:-}" "${key[class_names]:-}" "$RANK_TABLE_FILE")
}

# Run folders are written, also the one that is resumed, wherever it lies.
write_runs() {
  writes=("$RUNS" "$RESUME")
  [[ $RESUME != *.ckpt ]] || writes[1]=$(dirname "$(dirname "$RESUME")")
}

# become COMMAND...: print it, and let it replace this script.
become() {
  dry || print_command "$@"
  execute "$@"
}

# python ARGUMENT...: the Python of .venv, or of the container.
python() {
  local command=(docker/run.sh) path
  if [[ $CONTAINER != 1 ]]; then
    [[ $device == cpu || -z ${DEVICES:-} ]] || fail "DEVICES: found $DEVICES, which a container would be given;" \
      "without one set CUDA_VISIBLE_DEVICES or ASCEND_RT_VISIBLE_DEVICES instead"
    become ${variable:+env "$variable"} "$VENV/bin/python" "$@"
    return
  fi
  [[ $device == cpu ]] || command+=(--devices "$count")
  [[ $NODES == 1 ]] || command+=(--nodes "$NODES")
  for path in "${writes[@]}"; do command+=(${path:+--write "$path"}); done
  for path in "${reads[@]}"; do command+=(${path:+--read "$path"}); done
  command+=("$device" python "$@")
  [[ -z $variable ]] || export RUN_OPTIONS="${RUN_OPTIONS:-} --env $variable"
  if dry; then exec "${command[@]}"; fi # it prints what the engine is told
  become "${command[@]}"
}

# launch PROGRAM [ARGUMENT]...: under hlg.launch, once for each of SEEDS, on one device or on the ranks asked for.
launch() {
  local node=(${NODE_RANK:+--node_rank "$NODE_RANK"}) options=(--logs "$logs/.ranks" ${SEEDS:+--seeds "$SEEDS"})
  if [[ -n $ranks && $1 == hlg.train && $device == ascend && -n $RANK_TABLE_FILE ]]; then
    options+=(--rank_table "$RANK_TABLE_FILE" "${node[@]}")
  elif [[ -n $ranks ]]; then
    options+=(--ranks $((ranks * NODES)) --nodes "$NODES" "${node[@]}" ${MASTER:+--master "$MASTER"})
  fi
  python -m hlg.launch "${options[@]}" "$@"
}

# --- the programs

setup() {
  if [[ $CONTAINER == 1 ]]; then exec docker/build.sh "$device"; fi
  execute "$PYTHON" repro/bootstrap.py --venv "$VENV" --lock docker/dev.lock
}

tiny_data() {
  writes=(data) reads=("$IMAGENET")
  python -m hlg.data.tiny --out data/tiny --classes "$CLASSES" --train "$TRAIN" --val "$VAL" \
    ${IMAGENET:+--imagenet "$IMAGENET"}
}

imagenet() {
  writes=("$OUT") reads=("$ARCHIVES")
  local link=()
  [[ $LINK != 1 ]] || link=(--link)
  python -m hlg.data.imagenet --archives "$ARCHIVES" --out "$OUT" "${link[@]}"
}

imagenet_verify() {
  writes=("${REPORT:-$IMAGENET}") reads=("$IMAGENET")
  python -m hlg.data.imagenet.verify --imagenet "$IMAGENET" ${REPORT:+--report "$REPORT"}
}

train() {
  local recipe=(--config_path "$config")
  [[ -z $RESUME ]] || recipe=(${CONFIG:+--config_path "$CONFIG"} --resume "$RESUME")
  read_recipe
  write_runs
  launch hlg.train "${recipe[@]}" "${runs[@]}" "${data[@]}" "${target[@]}" "${keys[@]}"
}

# On the data that make tiny-data makes.
train_tiny() { # [ARGUMENT]...
  local recipe=(--config_path configs/tiny.yml)
  [[ -z $RESUME ]] || recipe=(${CONFIG:+--config_path "$CONFIG"} --resume "$RESUME")
  reads=(configs data)
  write_runs
  launch hlg.train "${recipe[@]}" "$@" "${runs[@]}" "${keys[@]}"
}

eval_tiny() {
  writes=("$RUNS") reads=(configs data)
  python -m hlg.eval --config_path configs/tiny.yml --pretrained "$RUNS/latest_tiny" "${runs[@]}" "${keys[@]}"
}

evaluate() { # [ARGUMENT]...
  read_recipe
  write_runs
  launch hlg.eval "${pretrained[@]}" --config_path "$config" "${runs[@]}" "${data[@]}" "${target[@]}" "$@" "${keys[@]}"
}

predict() {
  read_recipe
  writes=("$RUNS") reads+=("${images[@]}")
  python -m hlg.predict "${images[@]}" "${pretrained[@]}" --config_path "$config" "${data[@]}" \
    --device_target CPU --amp_level O0 --run_distribute 0 "${keys[@]}"
}

export_network() {
  local file=${key[file_name]:-hlg_mobile.mindir}
  [[ $file == */* ]] || file=results/export/$file
  config=${CONFIG:-configs/hlg_export.yml}
  read_recipe
  writes=("$(dirname "$file")")
  python -m hlg.export "${pretrained[@]}" --config_path "$config" "${data[@]}" "${keys[@]}" --file_name "$file"
}

report() {
  writes=(results "$RUNS")
  python -m repro.report --runs "$RUNS"
}

# The recipe comes after the keys: none of them changes what is checked.
short_run() { # FOLDER [ARGUMENT]...
  logs=$1 writes=(results "$1") reads=(configs data)
  launch hlg.train "${keys[@]}" --config_path configs/check.yml "${target[@]}" --save_checkpoint_path "$@"
}

# With another instruction set, which rounds differently; for accelerators there is none.
short_run_rounded() { # FOLDER
  [[ $device == cpu ]] || return 0
  variable=ONEDNN_MAX_CPU_ISA=SSE41
  short_run "$1"
}

check() {
  writes=(results "$RUNS") reads=(configs data)
  python -m repro.check "$RUNS/latest_check"
}

# A baseline and a convergence are kept in results: made by `begin`, several short runs, `keep`.
begin() { # baseline|convergence FOLDER
  local seeds
  seeds=$(wc -w <<<"$(tr " " "\n" <<<"$SEEDS" | sort -u)")
  [[ $1 != baseline || ($REPEAT =~ ^[0-9]+$ && $REPEAT -ge 2) ]] || fail "REPEAT: found '$REPEAT'; allowed: 2 or more"
  [[ $1 != convergence || $seeds -ge 10 ]] || fail "SEEDS: found $seeds; allowed: 10 different ones or more"
  dry || ! command -v git >/dev/null || git diff --quiet HEAD ||
    fail "the code has uncommitted changes; commit first, for what is kept names a commit"
  become rm -rf "$2"
}

keep() { # baseline|convergence FOLDER
  writes=(results "$2") reads=(configs data)
  python -m "repro.check.$1" "$2"
}

# What a plan measures: step and evaluation where a device is named, the input also where images are.
measured=()
[[ -z $DEVICE || -n $STEP_MS ]] || measured+=(step)
[[ -z $DEVICE ]] || measured+=(evaluate)
[[ -z $DEVICE$IMAGENET || -n $INPUT_RATE ]] || measured+=(input)

# A CPU takes 8 images a step, and hlg.bench draws its own images, unless CONFIG says something else.
measure() { # step|evaluate|input STEPS
  [[ " ${measured[*]} " == *" $1 "* ]] || return 0
  local from=("${data[@]}") on=("${target[@]}")
  [[ -n $IMAGENET$CONFIG ]] || from=(--dataset_path= --eval_path=)
  [[ $device != cpu ]] || on=(--device_target CPU --amp_level O0)
  [[ $device != cpu || -n $CONFIG ]] || on+=(--batch_size 8)
  read_recipe
  writes=(build/plan)
  python -m hlg.bench "$1" --steps "$2" --json "build/plan/$1.json" --config_path "$config" "${from[@]}" \
    --run_distribute 0 "${on[@]}" "${keys[@]}"
}

plan() {
  local what options=()
  for what in "${measured[@]}"; do options+=("--$what" "build/plan/$what.json"); done
  options+=(${CARDS:+--cards "$CARDS"} ${CARDS_PER_MACHINE:+--cards-per-machine "$CARDS_PER_MACHINE"})
  options+=(${STEP_MS:+--step-ms "$STEP_MS"} ${INPUT_RATE:+--input-rate "$INPUT_RATE"})
  options+=(${STEP_MS:+${key[batch_size]:+--batch "${key[batch_size]}"}} ${CORES:+--cores "$CORES"})
  options+=(${LINK_GBPS:+--link-gbps "$LINK_GBPS"} ${key[max_epoch]:+--epochs "${key[max_epoch]}"})
  read_recipe
  writes=(build/plan)
  python -m repro.plan "${options[@]}" --json build/plan/plan.json
}

audit() {
  writes=(results "$RUNS") reads=("${records[@]}")
  python -m repro.audit "${records[@]}"
}

verify() {
  reads=("${records[@]}")
  [[ ! -e $RUNS ]] || reads=("$RUNS" "${records[@]}")
  python -m repro.records.verify "${records[@]}"
}

fingerprint() {
  logs=results/fingerprint writes=(results/fingerprint)
  launch hlg.fingerprint "${target[@]}" --amp_level "$AMP" --out results/fingerprint "${keys[@]}"
}

fingerprint_diff() {
  reads=("$A" "$B")
  python -m repro.fingerprint_diff "$A" "$B"
}

# On this machine, and with CONTAINER=1 then also in the container, which sees another part of it.
doctor() { # [inside]
  local devices words
  IFS=, read -ra devices <<<"${DEVICES:-0}"
  count=${#devices[@]}
  words=(-m repro.doctor --device "$device" --devices "${DEVICES:-}" --imagenet "$IMAGENET" --runs "$RUNS" --venv "$VENV"
    --epochs "${key[max_epoch]:-300}")
  if [[ ${1:-} == inside ]]; then
    [[ $CONTAINER == 1 ]] || return 0
    docker/build.sh "$device"
    writes=("$RUNS") reads=(${IMAGENET:+"$IMAGENET/train" "$IMAGENET/val"})
    python "${words[@]}"
  elif [[ $CONTAINER != 1 ]]; then
    execute "$PYTHON" "${words[@]}"
  elif command -v "$PYTHON" >/dev/null; then
    execute "$PYTHON" "${words[@]}" --container "${ENGINE:-any}"
  fi
}

cluster_files() {
  local more options=(--nodes "$NODES" --device "${DEVICE:-ascend}" --config "$config" --imagenet "$IMAGENET")
  read -ra more <<<"$CLUSTER_OPTIONS"
  options+=(--runs "$(realpath --no-symlinks --canonicalize-missing "$RUNS")")
  options+=(${IMAGE:+--image "$IMAGE"} ${CHIP:+--chip "$CHIP"})
  [[ $CONTAINER != 0 ]] || options+=(--python "$VENV/bin/python")
  execute "$PYTHON" -m repro.cluster "${options[@]}" "${more[@]}" ${KEYS:+-- "${keys[@]}"}
}

bench_compare() {
  python -m repro.bench.compare "$A" "$B" --what "$WHAT" --rounds "$ROUNDS" -- --batch_size 8 "${keys[@]}"
}

profile() {
  python -m hlg.bench "$WHAT" --steps 5 --profile "$PROFILE" --batch_size 8 "${keys[@]}"
}

[[ $# -ge 1 && $(type -t "${1//-/_}") == function ]] || fail "usage: docker/start.sh [--ranks N] PROGRAM [ARGUMENT]..."
"${1//-/_}" "${@:2}"
