# shellcheck shell=bash
# What build.sh, run.sh and start.sh share: errors, lists, commands, engines, devices; sourced by them.

fail() {
  printf 'error: %s\n' "$*" >&2
  exit 2
}

# --- lists in a variable: blanks separate the words, and a backslash keeps one within a word

# split_words VALUE: its words, into the array `words`.
split_words() {
  # shellcheck disable=SC2162 # backslashes count
  IFS=$' \t\n' read -d '' -a words < <(printf '%s\0' "$1") || true
}

# split_paths VALUE: its paths, into the array `words`. What exists as it stands is one path, whatever is in its name;
# a pattern stands for what it matches.
split_paths() {
  local word IFS= found=()
  if [[ -e $1 ]]; then
    words=("$1")
    return
  fi
  split_words "$1"
  for word in "${words[@]}"; do
    # shellcheck disable=SC2206 # patterns
    if [[ -e $word ]]; then found+=("$word"); else found+=($word); fi
  done
  words=("${found[@]}")
}

# --- commands

[[ ${DRY_RUN:-} =~ ^[01]?$ ]] || fail "DRY_RUN: found '$DRY_RUN'; allowed: 1, or leave it out"
dry() { [[ ${DRY_RUN:-} == 1 ]]; }

# print_command COMMAND...: so that a shell would read the same words.
print_command() {
  local word line=
  for word in "$@"; do
    [[ $word =~ ^[A-Za-z0-9_@%+=:,./-]+$ ]] || word=${word@Q}
    line+=" $word"
  done
  echo "${line# }"
}

# execute COMMAND...: become it, or with DRY_RUN=1 print it.
execute() {
  if dry; then print_command "$@"; else exec "$@"; fi
}

# --- releases of MindSpore: a line of stacks.json each, the default one first

stacks=${BASH_SOURCE[0]%/*}/stacks.json

# release_value NAME: print what stacks.json says of the release, a text.
release_value() { sed -n "s/^\"$MINDSPORE\":.*\"$1\": \"\([^\"]*\)\".*/\1/p" "$stacks"; }

mapfile -t releases < <(sed -n 's/^"\([^"]*\)".*/\1/p' "$stacks")
MINDSPORE=${MINDSPORE:-${releases[0]}}
[[ $MINDSPORE != *" "* && " ${releases[*]} " == *" $MINDSPORE "* ]] || fail "MINDSPORE: found '$MINDSPORE'; known: ${releases[*]}"

# image_of DEVICE: print the name of the image that docker/build.sh makes.
image_of() { echo "hlg-repro:$1$([[ $MINDSPORE == "${releases[0]}" ]] || echo "-$MINDSPORE")"; }

# --- engines

is_apptainer() { [[ $1 =~ ^(apptainer|singularity)$ ]]; }

# engine_version ENGINE: print its version, or fail and say on standard error why it does not answer. A client
# whose engine does not answer does not count, and podman that is called docker is podman.
engine_version() {
  local ask=(podman info --format '{{.Version.Version}}') version
  if ! command -v "$1" >/dev/null; then
    echo "is not installed" >&2
    return 1
  elif [[ $1 == docker ]]; then
    ask=(docker version --format '{{.Server.Version}}')
    if [[ $(timeout 20 docker --version 2>/dev/null) == *podman* ]]; then
      echo "is podman under another name" >&2
      return 1
    fi
  fi
  ! is_apptainer "$1" || ask=("$1" --version)
  version=$(timeout 20 "${ask[@]}") && version=${version##* } && [[ -n $version ]] && echo "$version"
}

# The engine to use: ENGINE, or the first of docker and podman that answers. To print a command, none has to.
choose_engine() {
  local candidate why reasons=
  is_apptainer "${ENGINE:-}" || [[ ${ENGINE:-docker} =~ ^(docker|podman)$ ]] ||
    fail "ENGINE: found '$ENGINE'; allowed: docker, podman, apptainer or singularity"
  for candidate in ${ENGINE:-docker podman}; do
    if why=$(engine_version "$candidate" 2>&1 >/dev/null) || { dry && [[ -n ${ENGINE:-} ]]; }; then
      echo "$candidate"
      return
    fi
    why=${why:-does not answer}
    reasons+="; $candidate: ${why//$'\n'/ }"
  done
  if dry; then
    if ! type -P docker >/dev/null && type -P podman >/dev/null; then echo podman; else echo docker; fi
    return
  fi
  fail "no container engine answers (${reasons#; }): install podman, or install docker, start its service and join" \
    "its group; or, where Apptainer is, ENGINE=apptainer. Without one: CONTAINER=0, with Python 3.11 on this machine"
}

# --- devices

# visible_devices gpu|ascend: print the variable that says which accelerators this process may use, and its value; for
# the engine does not ask. Slurm's numbers are the machine's, while CUDA_VISIBLE_DEVICES may count within the job's, in
# which Apptainer stays.
visible_devices() {
  local name mask names=(ASCEND_RT_VISIBLE_DEVICES ASCEND_VISIBLE_DEVICES) cuda=${CUDA_VISIBLE_DEVICES:-}
  [[ $1 == ascend ]] || names=(SLURM_STEP_GPUS SLURM_JOB_GPUS CUDA_VISIBLE_DEVICES)
  [[ $1 == ascend ]] || ! is_apptainer "${ENGINE:-}" || names=(CUDA_VISIBLE_DEVICES)
  for name in "${names[@]}"; do
    [[ -v $name ]] || continue
    mask=${!name}
    if [[ $name == SLURM_* && -n $cuda && $cuda != "$mask" ]]; then
      [[ $cuda == "$(seq -s , 0 "$(tr -cd , <<<"$mask" | wc -c)")" ]] ||
        fail "CUDA_VISIBLE_DEVICES: found '$cuda', but $name is '$mask'; say which GPUs of this machine: DEVICES=${mask%%,*}"
    fi
    echo "$name $mask"
    return
  done
}

# choose_devices gpu|ascend COUNT: so many, into the array `devices`: DEVICES, or the first ones that this process may
# use, or else the first ones. `where` and `given` say where they were found, and what.
choose_devices() {
  local origin=${DEVICES:+DEVICES $DEVICES} one name='(0|[1-9][0-9]*)'
  [[ $1 != gpu ]] || name='((0|[1-9][0-9]*)(:[0-9]+)?|GPU-[0-9a-fA-F-]+|MIG-[0-9a-zA-Z/-]+)'
  [[ -n $origin ]] || origin=$(visible_devices "$1")
  where=${origin%% *} given=${origin#* }
  if [[ -n $origin ]]; then mapfile -t -d , devices < <(printf %s "$given"); else mapfile -t devices < <(seq 0 $(($2 - 1))); fi
  [[ $where != DEVICES || ${#devices[@]} -eq $2 ]] ||
    fail "DEVICES: found '$given'; allowed: $2 with commas between them, or leave it out"
  [[ ${#devices[@]} -ge $2 ]] || fail "$where: found '$given', but $2 are needed; change it, or say which: DEVICES=0,..."
  devices=("${devices[@]:0:$2}")
  for one in "${devices[@]}"; do
    [[ $one =~ ^$name$ ]] || fail "$where: found '$given', in which '$one' names no $1; say which: DEVICES=0,..."
  done
  [[ -z $(printf '%s\n' "${devices[@]}" | sort | uniq -d) ]] || fail "$where: found '$given'; allowed: each device once"
}
