# shellcheck shell=bash
# The programs that docker/start.sh starts: a function each, of which the last command is the program's. Sourced by it.
#
# shellcheck disable=SC2153,SC2034,SC2154 # capitals are make's; what is set here, and the rest, is docker/start.sh's

give_data() { give --dataset_path IMAGENET/train --eval_path IMAGENET/val; }

# The recipe is read, and the data set and the weights that it needs.
read_recipe() { # [DEFAULT]
  CONFIG=${CONFIG:-${1-configs/hlg_mobile.yml}}
  reads=(configs "$CONFIG")
  [[ ! -e data ]] || reads+=(data)
  reads+=(${IMAGENET:+"$IMAGENET/train" "$IMAGENET/val"} "${key[dataset_path]:-}" "${key[eval_path]:-}")
  reads+=("${key[pretrained]:-}" "${key[class_names]:-}")
}

# Run folders are written, also the one that is resumed, wherever it lies.
write_runs() {
  writes=("$RUNS" "$RESUME")
  [[ $RESUME != */*.ckpt ]] || writes[1]=${RESUME%/*}/..
  [[ $RESUME == */* || $RESUME != *.ckpt ]] || writes[1]=..
}

setup() {
  if [[ $CONTAINER == 1 ]]; then
    unread "CONTAINER is 1, and a container has its own" PYTHON VENV
    exec docker/build.sh "$device"
  fi
  local lock=dev
  [[ $device == cpu ]] || lock=$device
  words=(--venv "$VENV" --lock "docker/$lock.lock" --mindspore "$MINDSPORE")
  [[ $device != gpu ]] || words+=(--then "${entry[@]}" docker/check_libraries.sh gpu "$VENV")
  host_python repro/bootstrap.py "${words[@]}"
}

tiny_data() {
  writes=(data) reads=("$IMAGENET")
  give --classes CLASSES --train TRAIN --val VAL --imagenet IMAGENET
  python -m hlg.data.tiny --out data/tiny "${words[@]}"
}

imagenet() {
  writes=("$OUT") reads=("$ARCHIVES")
  give --archives ARCHIVES --out OUT
  [[ $LINK != 1 ]] || words+=(--link)
  python -m hlg.data.imagenet "${words[@]}"
}

imagenet_verify() {
  writes=("${REPORT:-$IMAGENET}") reads=("$IMAGENET")
  give --imagenet IMAGENET --report REPORT
  python -m hlg.data.imagenet.verify "${words[@]}"
}

train() {
  seeds=$SEEDS
  if [[ -n $RESUME ]]; then read_recipe ""; else read_recipe; fi
  write_runs
  give --config_path CONFIG --resume RESUME --save_checkpoint_path RUNS
  give_data
  launch hlg.train "${target[@]}" "${keys[@]}"
}

# On the data that make tiny-data makes.
train_tiny() { # [ARGUMENT]...
  seeds=$SEEDS reads=(configs data)
  write_runs
  [[ -n $RESUME ]] || words=(--config_path configs/tiny.yml)
  give --resume RESUME
  words+=("$@")
  give --save_checkpoint_path RUNS
  launch hlg.train "${keys[@]}"
}

eval_tiny() {
  writes=("$RUNS") reads=(configs data)
  give --pretrained RUNS/latest_tiny --save_checkpoint_path RUNS
  python -m hlg.eval --config_path configs/tiny.yml "${words[@]}" "${keys[@]}"
}

# On GPUs in float32, as published.
evaluate() {
  [[ $device != gpu ]] || target+=(--amp_level O0)
  read_recipe
  reads+=("$PRETRAINED") writes=("$RUNS")
  give --pretrained PRETRAINED --config_path CONFIG --save_checkpoint_path RUNS
  give_data
  launch hlg.eval "${target[@]}" "${keys[@]}"
}

predict() {
  need IMAGES cat.jpg
  [[ -n $DEVICE ]] || target=("${on_cpu[@]}")
  [[ $device != gpu ]] || target+=(--amp_level O0)
  read_recipe
  split_paths "$IMAGES"
  reads+=("$PRETRAINED" "${words[@]}") writes=("$RUNS")
  give --pretrained PRETRAINED --config_path CONFIG
  give_data
  python -m hlg.predict "${words[@]}" "${target[@]}" --run_distribute 0 "${keys[@]}"
}

export_network() {
  local file=${key[file_name]:-hlg_mobile.mindir}
  [[ $file == */* ]] || file=results/export/$file
  read_recipe configs/hlg_export.yml
  reads+=("$PRETRAINED") writes=("${file%/*}/")
  give --pretrained PRETRAINED --config_path CONFIG
  give_data
  python -m hlg.export "${words[@]}" "${target[@]}" "${keys[@]}" --file_name "$file"
}

report() {
  writes=(results "$RUNS")
  give --runs RUNS
  python -m repro.report "${words[@]}"
}

compare() {
  if [[ -n $RUN ]]; then
    unread "RUN names all runs" A B
    split_paths "$RUN"
  else
    need A results/runs/latest_tiny
    need B results/runs/another
    words=("$A" "$B")
  fi
  writes=(results) reads=("${words[@]}")
  [[ ! -e $RUNS ]] || reads=("$RUNS" "${words[@]}")
  give --target-top1 TARGET_TOP1
  python -m repro.compare "${words[@]}"
}

# By a tracker's own library, which no image has.
export_runs() {
  need FORMAT tensorboard
  split_paths "$RUN"
  give --format FORMAT --runs RUNS --out OUT
  python -m repro.report.trackers "${words[@]}"
}

# The recipe comes after the keys: none of them changes what is checked.
short_run() { # FOLDER [ARGUMENT]...
  logs=$1 writes=(results "$1") reads=(configs data)
  launch hlg.train "${keys[@]}" --config_path configs/check.yml "${target[@]}" --save_checkpoint_path "$@"
}

short_runs() { # FOLDER [ARGUMENT]...
  seeds=$SEEDS
  short_run "$@"
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
begin_baseline() { # FOLDER
  [[ $REPEAT =~ ^[0-9]{1,4}$ && $((10#$REPEAT)) -ge 2 ]] || fail "REPEAT: found '$REPEAT'; allowed: 2 or more"
  need_commit
  become rm -rf "$1"
}

begin_convergence() { # FOLDER
  split_words "$SEEDS"
  count=$(printf '%s\n' "${words[@]}" | sort -u | wc -l)
  [[ $count -ge 10 ]] || fail "SEEDS: found $count; allowed: 10 different ones or more"
  need_commit
  become rm -rf "$1"
}

# What is kept names the commit that made it: of this checkout, unless a ready image has one of its own.
need_commit() {
  local revision
  [[ $CONTAINER != 1 || -z ${IMAGE:-} ]] || return 0
  revision=$("$root/docker/revision.sh")
  dry || [[ $revision != unknown* ]] || fail "no commit is known, which a baseline must name: ${revision#* * }"
  dry || [[ $revision != *-dirty ]] || fail "the code has uncommitted changes; commit them first, because a baseline names its commit"
}

keep() { # baseline|convergence FOLDER
  writes=(results "$2") reads=(configs data)
  python -m "repro.check.$1" "$2"
}

# What a plan measures: step and evaluation where a device is named, the input also where images are.
measures() { # step|evaluate|input
  case $1 in
    step) [[ -n $DEVICE && -z $STEP_MS ]] ;;
    evaluate) [[ -n $DEVICE ]] ;;
    input) [[ -n $DEVICE$IMAGENET && -z $INPUT_RATE ]] ;;
  esac
}

# A plan reads the length of the training, and with the time of a step its batch; every other key is for what it measures.
check_plan_keys() {
  local name
  [[ -n $DEVICE$STEP_MS || ! -v key[batch_size] ]] ||
    fail "batch_size: found '${key[batch_size]}' without the time of its step; add STEP_MS=..., or DEVICE=... to measure it"
  for name in $KEYS; do
    [[ -n $DEVICE$IMAGENET || $name == max_epoch || $name == batch_size ]] ||
      fail "$name: found '${key[$name]}', but nothing is measured without DEVICE=... or IMAGENET=..."
  done
}

measure() { # step|evaluate|input STEPS
  check_plan_keys
  writes=(build/plan)
  ! measures "$1" || bench_on_device "$1" --steps "$2" --json "build/plan/$1.json"
}

# Of several DEVICES the first, for what one process does.
one_card() {
  DEVICES=${DEVICES:-}
  DEVICES=${DEVICES%%,*}
}

# On one card. A CPU takes 8 images a step, and hlg.bench draws its own images, unless CONFIG says something else.
bench_on_device() { # WHAT [OPTION]...
  one_card
  [[ $device != cpu ]] || target=("${on_cpu[@]}")
  [[ $device != cpu || -n $CONFIG ]] || target+=(--batch_size 8)
  local drawn=(--dataset_path= --eval_path=)
  [[ -z $IMAGENET$CONFIG ]] || drawn=()
  read_recipe
  words=("$@")
  give --config_path CONFIG
  give_data
  python -m hlg.bench "${words[@]}" "${drawn[@]}" --run_distribute 0 "${target[@]}" "${keys[@]}"
}

# The training that was planned, as one would type it.
training_command() {
  local name command=(make train "DEVICE=$device")
  [[ -n $CONFIG$IMAGENET ]] || command+=(IMAGENET=/path)
  for name in $TYPED; do
    [[ " DEVICE AMP CORES LINK_GBPS DRY_RUN $KEYS " == *" $name "* ]] || command+=("$name=${!name}")
  done
  for name in $KEYS; do command+=("$name=${key[$name]}"); done
  [[ $NODES == 1 || -n $NODE_RANK$MASTER ]] || command+=(NODE_RANK=0 MASTER=ADDRESS)
  print_command "${command[@]}"
}

plan() { # [for-training]
  local what
  [[ ${1:-} != for-training ]] || CARDS=${CARDS:-1} # as that training has
  check_plan_keys
  for what in step evaluate input; do
    ! measures "$what" || words+=("--$what" "build/plan/$what.json")
  done
  give --cards CARDS
  [[ $NODES == 1 ]] || give --nodes NODES
  give --step-ms STEP_MS --input-rate INPUT_RATE
  words+=(${STEP_MS:+${key[batch_size]:+--batch "${key[batch_size]}"}})
  give --cores CORES --link-gbps LINK_GBPS
  words+=(${key[max_epoch]:+--epochs "${key[max_epoch]}"})
  [[ ${1:-} != for-training ]] || words+=(--training "$(training_command)")
  read_recipe
  one_card
  writes=(build/plan)
  python -m repro.plan "${words[@]}" --json build/plan/plan.json
}

audit() {
  split_paths "$RUN"
  writes=(results "$RUNS") reads=("${words[@]}")
  python -m repro.audit "${words[@]}"
}

verify() {
  need RUN results/runs/latest_tiny
  split_paths "$RUN"
  reads=("${words[@]}")
  [[ ! -e $RUNS ]] || reads=("$RUNS" "${words[@]}")
  python -m repro.records.verify "${words[@]}"
}

fingerprint() { # [for-training]
  local name others
  if [[ ${1:-} == for-training ]]; then # which has more keys; one that nobody has is refused here
    mapfile -t others < <(docker/variables.sh --keys | grep -vxE 'device_target|device_id|amp_level|context_mode')
    keys=()
    for name in $KEYS; do
      [[ " ${others[*]} " == *" $name "* ]] || keys+=("--$name=${key[$name]}")
    done
  fi
  [[ -z $AMP || $AMP =~ ^O[023]$ ]] || fail "AMP: found '$AMP'; allowed: O0, O2 or O3"
  logs=results/fingerprint writes=(results/fingerprint)
  give --amp_level AMP
  words=("${target[@]}" "${words[@]}" --out results/fingerprint)
  launch hlg.fingerprint "${keys[@]}"
}

fingerprint_diff() {
  need A here.json
  need B there.json
  reads=("$A" "$B")
  python -m repro.fingerprint_diff "$A" "$B"
}

# On this machine, and with CONTAINER=1 then also in the container, which sees another part of it.
doctor() { # [inside]
  local devices where given
  [[ $device == cpu || -z $CARDS ]] || choose_devices "$device" "$CARDS"
  [[ $device == cpu || -n ${DEVICES:-} ]] || DEVICES=$(IFS=,; echo "${devices[*]-}")
  [[ -n ${DEVICES:-} || $device == cpu ]] || DEVICES=$(visible_devices "$device" | sed -n -E 's/^\w+ ([0-9]+(,[0-9]+)*)$/\1/p')
  IFS=, read -ra devices <<<"${DEVICES:-0}"
  count=${#devices[@]}
  words=(--device "$device")
  give --devices DEVICES --imagenet IMAGENET --runs RUNS --venv VENV --mindspore MINDSPORE
  words=(-m repro.doctor "${words[@]}" --epochs "${key[max_epoch]:-300}")
  if [[ ${1:-} == inside ]]; then
    [[ $CONTAINER == 1 ]] || return 0
    docker/build.sh "$device"
    writes=("$RUNS") reads=(${IMAGENET:+"$IMAGENET/train" "$IMAGENET/val"})
    python "${words[@]}"
    return
  fi
  [[ -z $typed_as ]] || export HLG_TYPED_AS=${typed_as# }
  if [[ $CONTAINER != 1 ]]; then
    unread "CONTAINER is not 1, and nothing but a container reads it" "${container_only[@]}"
    wrap=("${entry[@]}")
    host_python "${words[@]}"
  elif command -v "$PYTHON" >/dev/null; then
    host_python "${words[@]}" --container "${ENGINE:-any}"
  fi
}

cluster_files() {
  [[ $RUNS == /* ]] || RUNS=$PWD/$RUNS
  CONFIG=${CONFIG:-configs/hlg_mobile.yml} DEVICE=${DEVICE:-ascend}
  split_words "$CLUSTER_OPTIONS"
  local more=("${words[@]}")
  words=()
  give --nodes NODES --cards CARDS --device DEVICE --config CONFIG --imagenet IMAGENET --runs RUNS --image IMAGE --chip CHIP
  give --engine ENGINE
  [[ $CONTAINER != 0 ]] || words+=(--python "${entry[@]}" "$VENV/bin/python")
  export HLG_TYPED_AS=${typed_as# }
  host_python -m repro.cluster "${words[@]}" "${more[@]}" ${KEYS:+-- "${keys[@]}"}
}

# The authors' code, in an environment of its own; it is trained where it lies.
give_published() {
  [[ -n ${PUBLISHED:-} ]] || fail "PUBLISHED: found nothing; name the authors' code, such as PUBLISHED=models/research/cv/hlg"
  give --published PUBLISHED --python39 PYTHON39 --repeat REPEAT
}

published() {
  give_published
  python -m repro.authors "${words[@]}"
}

reproduce() {
  need_commit
  give_published
  give --seeds SEEDS
  python -m repro.authors.reproduce "${words[@]}"
}

bench_compare() {
  need A main
  need B .
  give --what WHAT --rounds ROUNDS
  python -m repro.bench.compare "$A" "$B" "${words[@]}" -- --batch_size 8 "${keys[@]}"
}

trend() {
  give --trend TREND --out OUT
  python -m repro.trend "${words[@]}"
}

# Training and inference of this device: in each precision, with each batch, on one card to all of them.
bench_device() {
  count=${CARDS:-1} writes=("${RESUME:-results/bench}") reads=(${IMAGENET:+"$IMAGENET/train" "$IMAGENET/val"})
  give --batches BATCHES --amp AMP --cards CARDS --steps STEPS --imagenet IMAGENET --resume RESUME
  python -m repro.bench.device --device "$device" "${words[@]}" ${keys:+-- "${keys[@]}"}
}

stacks() { python -m repro.releases.stacks; }

# Each in its environment, by turns with the default.
releases() {
  [[ $MINDSPORE == "${releases[0]}" ]] ||
    fail "MINDSPORE: found '$MINDSPORE', but releases are measured by turns with ${releases[0]}; type VERSIONS=\"$MINDSPORE\" instead"
  give --releases VERSIONS --venv VENV --python PYTHON
  python -m repro.releases "${words[@]}"
}

release_diff() {
  need A 2.8.0
  need B 2.10.0
  reads=(results)
  python -m repro.releases.diff "$A" "$B"
}

profile() {
  [[ $WHAT =~ ^(step|forward|evaluate)$ ]] || fail "WHAT: found '$WHAT'; allowed: step, forward or evaluate"
  writes=("$PROFILE")
  give --profile PROFILE
  bench_on_device "$WHAT" --steps 5 "${words[@]}"
}

# Every package with its hashes: of each image, of make setup, and of each other release of MindSpore its own pin.
lock() {
  local image extra release uv=$VENV/bin/uv
  [[ -x $uv ]] || uv=$(command -v uv) || fail "uv is not installed, and it makes the locks: type make setup, or pip install uv"
  local compile=("$uv" pip compile --universal --python-version 3.11 --quiet --generate-hashes)
  compile+=(--no-emit-index-url --no-annotate --no-header)
  for image in cpu gpu ascend dev; do
    extra=${image#cpu}
    "${compile[@]}" pyproject.toml ${extra:+--extra "$extra"} --output-file "docker/$image.lock"
    # shellcheck disable=SC2016 # no command
    sed -i '1i # Made by `make lock` from pyproject.toml: every package that is installed, with its hashes.' "docker/$image.lock"
  done
  "${compile[@]}" --group setup --output-file docker/installer.lock
  # shellcheck disable=SC2016 # no command
  sed -i '1i # Made by `make lock` from pyproject.toml: what unpacks the packages of the images and of make setup.' docker/installer.lock
  "$uv" pip compile --python-version 3.9 --quiet --generate-hashes --only-binary :all: --no-emit-index-url --no-annotate \
    --no-header docker/published.in --output-file docker/published.lock
  # shellcheck disable=SC2016 # no command
  sed -i '1i # Made by `make lock` from docker/published.in: every package that is installed, with its hashes.' docker/published.lock
  "${compile[@]}" --constraint docker/dev.lock docker/trackers.in --output-file docker/trackers.lock
  # shellcheck disable=SC2016 # no command
  sed -i '1i # Made by `make lock` from docker/trackers.in: what dev.lock has is of the same version here.' docker/trackers.lock
  for release in "${releases[@]:1}"; do
    "${compile[@]}" --no-deps --output-file "docker/releases/$release.lock" - <<<"mindspore==$release"
  done
}

# A folder that is no virtual environment is somebody's: a typing error must not cost it.
clean() {
  [[ ! -e $VENV || -e $VENV/pyvenv.cfg ]] || fail "VENV: found '$VENV', which is no virtual environment; not removed"
  local folders=("$VENV") name
  for name in authors gpu ascend "${releases[@]}" "${releases[@]/#/gpu-}" "${releases[@]/#/ascend-}"; do
    [[ ! -e .venv-$name/pyvenv.cfg ]] || folders+=(".venv-$name")
  done
  become rm -rf -- "${folders[@]}" data/tiny .mypy_cache .ruff_cache .hypothesis
}
