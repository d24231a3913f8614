#!/usr/bin/env bash
# Starts a program of the suite for the Makefile, in .venv or, with CONTAINER=1, in the image of DEVICE:
#   docker/start.sh PROGRAM [ARGUMENT]...
#
# The programs are the functions of docker/programs.sh, with - for _. The variables of make arrive as environment variables,
# so that no shell reads a value twice: blanks and quotes stay. The command is printed and then replaces this script, so
# that signals reach it and its exit code comes back. DRY_RUN=1 only prints it.
#
# shellcheck disable=SC2153,SC2034 # capitals are make's; what is set here is for the programs
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# shellcheck source=docker/engine.sh
source "$root/docker/engine.sh"

device=${DEVICE:-cpu}
for name in CONTAINER LINK; do
  [[ ${!name} =~ ^[01]?$ ]] || fail "$name: found '${!name}'; allowed: 0 or 1"
done
[[ $device =~ ^(cpu|gpu|ascend)$ ]] || fail "DEVICE: found '$device'; allowed: cpu, gpu or ascend"
for name in NODES CARDS; do
  [[ (-z ${!name} && $name == CARDS) || ${!name} =~ ^[1-9][0-9]{0,5}$ ]] || fail "$name: found '${!name}'; allowed: 1 or more"
done
# Accelerators run in containers, a CPU does not, unless CONTAINER says so.
[[ -n $CONTAINER ]] || CONTAINER=$([[ $device == cpu ]] && echo 0 || echo 1)
[[ -n $RANK_TABLE_FILE ]] || export -n RANK_TABLE_FILE # MindSpore reads it too

# What the program is told: its options; a key of the configuration for each name in KEYS, whose value is in KEY_<name>.
# HLG_TYPED_AS says which option was typed as which variable of make, so that an error can name that one.
words=() keys=() typed_as=
declare -A key=()
for name in $KEYS; do
  value=KEY_$name
  key[$name]=${!value}
  keys+=("--$name=${!value}")
  typed_as+=" --$name=$name"
done

# give OPTION NAME[/PART]...: add each option with the value of a variable of make, if that has one.
give() {
  local name
  while [[ $# -gt 0 ]]; do
    name=${2%%/*}
    typed_as=" $1=$name$typed_as" # before the keys, of which one may be the same option
    [[ $name != "$2" ]] || once "$name" "${1#--}"
    [[ -z ${!name:-} ]] || words+=("$1" "${!name}${2#"$name"}")
    shift 2
  done
}

# once NAME KEY: fail if this variable and the key that it stands for were both typed.
once() {
  [[ " $TYPED " != *" $1 "* || ! -v key[$2] ]] || fail "$1 and $2: found '${!1}' and '${key[$2]}', which are one; type one"
}

# need NAME EXAMPLE: fail if this variable is empty.
need() { [[ -n ${!1} ]] || fail "$1: found nothing; name one, such as $1=$2"; }

# unread WHY NAME...: fail if one of these variables was typed, for here nothing reads it.
unread() {
  local why=$1 name
  shift
  for name in "$@"; do
    [[ " $TYPED " != *" $name "* ]] || fail "$name: found '${!name}', but $why"
  done
}

[[ $device != cpu ]] || unread "DEVICE is cpu, which has none to choose from" DEVICES
[[ -z $DEVICE || ! -v key[device_target] ]] ||
  fail "device_target: found '${key[device_target]}', but DEVICE is $DEVICE, and the two are one; type one"

# As many cards as DEVICES names. Where the two disagree, nothing is built first.
listed=()
[[ $device == cpu ]] || IFS=, read -ra listed <<<"${DEVICES:-}"
[[ " $TYPED " != *" CARDS "* || ${#listed[@]} -eq 0 || ${#listed[@]} -eq $CARDS ]] ||
  fail "CARDS and DEVICES: found '$CARDS' and '$DEVICES', which are ${#listed[@]}; type one, or as many"
CARDS=${CARDS:-${listed:+${#listed[@]}}}

# The keys that DEVICE stands for; without it the recipe says which device. A CPU computes in float32.
on_cpu=(--device_target CPU --amp_level O0)
case $DEVICE in
  cpu) target=("${on_cpu[@]}") ;;
  gpu) target=(--device_target GPU) ;;
  ascend) target=(--device_target Ascend) ;;
  *) target=() ;;
esac

# What a container sees of this machine: paths, of which empty ones do not count, and so many accelerators; and of how
# many machines this is one.
reads=() writes=() count=1 nodes=1
# What stands before a Python outside of containers, so that it finds the libraries of the device.
entry=()
[[ $device != gpu ]] || entry=(docker/with_cuda.sh "$VENV")
[[ $device != ascend ]] || entry=(docker/with_cann.sh)
wrap=()
logs=$RUNS  # a folder for those of the ranks
seeds=      # train once for each of these
variable=   # one more in the program's environment: NAME=VALUE

# become COMMAND...: print it, and let it replace this script.
become() {
  dry || print_command "$@"
  execute "$@"
}

container_only=(IMAGE CANN CHIP ENGINE BASE_IMAGE CA_BUNDLE PIP_CONFIG BUILD_OPTIONS RUN_OPTIONS)

# python ARGUMENT...: the Python of .venv, or of the container.
python() {
  local command=(docker/run.sh) path devices where given
  [[ -z $typed_as ]] || export HLG_TYPED_AS=${typed_as# }
  if [[ $CONTAINER != 1 ]]; then
    unread "CONTAINER is not 1, and nothing but a container reads it" "${container_only[@]}"
    if [[ $device != cpu && -n ${DEVICES:-} ]]; then
      choose_devices "$device" "$count"
      variable=CUDA_VISIBLE_DEVICES=$DEVICES
      [[ $device == gpu ]] || variable=ASCEND_RT_VISIBLE_DEVICES=$DEVICES
    fi
    become ${variable:+env "$variable"} "${entry[@]}" "$VENV/bin/python" "$@"
    return
  fi
  [[ $device == cpu ]] || command+=(--devices "$count")
  [[ $nodes == 1 ]] || command+=(--nodes "$nodes")
  for path in "${writes[@]}"; do command+=(${path:+--write "$path"}); done
  for path in "${reads[@]}"; do command+=(${path:+--read "$path"}); done
  command+=(${variable:+--env "$variable"} ${HLG_TYPED_AS:+--env "HLG_TYPED_AS=$HLG_TYPED_AS"} "$device" python "$@")
  if dry; then exec "${command[@]}"; fi # it prints what the engine is told
  become "${command[@]}"
}

# host_python ARGUMENT...: PYTHON, before anything is installed.
host_python() {
  local old='import sys; sys.exit(sys.version_info < (3, 8))'
  dry || command -v "$PYTHON" >/dev/null ||
    fail "PYTHON: found '$PYTHON', which is not installed; name Python 3.11 or 3.12: PYTHON=/path/to/python3.11"
  dry || "$PYTHON" -c "$old" ||
    fail "PYTHON: found '$PYTHON', which is $("$PYTHON" -V 2>&1); name Python 3.11 or 3.12: PYTHON=python3.11"
  execute "${wrap[@]}" "$PYTHON" "$@"
}

# launch PROGRAM [ARGUMENT]...: under hlg.launch, once for each of the seeds, on so many cards of each machine as CARDS
# or DEVICES says.
launch() {
  local own=("${words[@]}")
  once SEEDS seed
  [[ $device == ascend ]] || unread "it is for Ascends; type DEVICE=ascend" RANK_TABLE_FILE
  words=(--logs "$logs/.ranks" ${seeds:+--seeds "$seeds"})
  typed_as=" --seeds=SEEDS$typed_as"
  [[ $logs != "$RUNS" ]] || typed_as+=" --logs=RUNS"
  if [[ $1 == hlg.train && $device == ascend && -n $RANK_TABLE_FILE ]]; then
    [[ -n $CARDS ]] || fail "CARDS: found nothing; name how many cards of this machine $RANK_TABLE_FILE lists: CARDS=8"
    reads+=("$RANK_TABLE_FILE") count=$CARDS
    give --rank_table RANK_TABLE_FILE --node_rank NODE_RANK
  else
    count=${CARDS:-1} nodes=$NODES
    [[ $((count * nodes)) -eq 1 ]] || words+=(--ranks $((count * nodes)) --nodes "$nodes")
    give --node_rank NODE_RANK --master MASTER
  fi
  python -m hlg.launch "${words[@]}" "$1" "${own[@]}" "${@:2}"
}

# shellcheck source=docker/programs.sh
source "$root/docker/programs.sh"
[[ $# -ge 1 && $(type -t "${1//-/_}") == function ]] || fail "usage: docker/start.sh PROGRAM [ARGUMENT]..."
"${1//-/_}" "${@:2}"
