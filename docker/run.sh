#!/usr/bin/env bash
# Runs a command in the image of a device, with so many of its devices:
#   docker/run.sh [OPTION]... cpu|gpu|ascend COMMAND [ARGUMENT]...
#     --devices N  --nodes N  --read PATH  --write PATH  --env NAME=VALUE     the last three as often as needed
#
# A path has the same name inside as outside. What is named by --read can be read, what is named by --write (a folder,
# made where it is missing) written, and is the caller's own; nothing else of this machine is seen. What the command
# writes beside that is gone with the container.
#
# Read from the environment, all optional:
#   ENGINE       docker, podman, apptainer or singularity; otherwise docker or podman, the first one that answers
#   IMAGE        a ready image, for apptainer a .sif file, instead of the one that docker/build.sh makes
#   MINDSPORE    a release other than the default, as docker/build.sh takes it
#   DEVICES      which accelerators, such as 0,1,2,3, or UUIDs of GPUs or MIG instances; otherwise the first N that
#                CUDA_VISIBLE_DEVICES, ASCEND_RT_VISIBLE_DEVICES or Slurm leaves to the caller; otherwise the first N
#   RUN_OPTIONS  more words for the engine's run, such as --cpus=4
#   DRY_RUN      1 prints the command
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# shellcheck source=docker/engine.sh
source "$root/docker/engine.sh"

count=0 nodes=1 read=() write=() variables=()
while [[ ${1:-} == --* ]]; do
  [[ $# -ge 2 ]] || fail "$1: a value is missing"
  case $1 in
    --devices) count=$2 ;;
    --nodes) nodes=$2 ;;
    --read) read+=("$2") ;;
    --write) write+=("$2") ;;
    --env) variables+=("$2") ;;
    *) fail "$1: no such option" ;;
  esac
  shift 2
done
[[ $# -ge 2 && -f $root/docker/$1.Dockerfile ]] || fail "usage: docker/run.sh [OPTION]... cpu|gpu|ascend COMMAND [ARGUMENT]..."
device=$1
shift
# Before any arithmetic, in which the shell would run what a value says.
[[ $count =~ ^(0|[1-9][0-9]{0,3})$ ]] || fail "--devices: found '$count'; allowed: a number"
[[ $nodes =~ ^[1-9][0-9]{0,5}$ ]] || fail "--nodes: found '$nodes'; allowed: 1 or more"
for path in "$PWD" "${write[@]}" "${read[@]}"; do
  [[ $path != *[,\"$'\n']* ]] || fail "${path@Q}: an engine takes no path with a comma, a quote or a line break"
done
[[ $PWD != *:* ]] || fail "an engine takes no working directory with a colon, as in $PWD; call from another one"

devices=()
[[ $device != cpu || -z ${DEVICES:-} ]] || fail "DEVICES: found '$DEVICES', but a CPU has none to choose from; leave it out"
[[ $device == cpu ]] || choose_devices "$device" "$count"

engine=$(choose_engine)
version=$(engine_version "$engine" 2>/dev/null) || version="that does not answer"
case $PWD in / | /opt | /opt/venv*) fail "$PWD: the image has this folder itself; call from another one" ;; esac
case $device in
  gpu)
    dry || [[ -e /dev/nvidiactl || -e /dev/dxg ]] ||
      fail "this machine has no NVIDIA GPU, or no driver for it (no /dev/nvidiactl); 'make doctor DEVICE=gpu' says more"
    ;;
  ascend)
    dry || for i in "${devices[@]}"; do
      [[ -e /dev/davinci$i ]] ||
        fail "this machine has no Ascend $i, or no driver for it (no /dev/davinci$i); 'make doctor DEVICE=ascend' says more"
    done
    ;;
esac

# How docker and podman run an image.
container_command() {
  image=${IMAGE:-$(image_of "$device")} entry=()
  # An image that was built here has no digest in docker, but an id; either way it is a hash of all that is in it.
  hash='{{if .RepoDigests}}{{index .RepoDigests 0}}{{else}}{{.Id}}{{end}}'
  if ! digest=$("$engine" image inspect --format "$hash" "$image" 2>/dev/null); then
    dry || fail "IMAGE: $engine has no '$image': build it by 'make image-$device', or pull it"
  fi

  command=("$engine" run --rm)
  [[ ! -t 0 || ! -t 1 ]] || command+=(--interactive --tty)
  # The caller's own number, and no right beyond it.
  command+=(--user "$(id -u):$(id -g)" --cap-drop ALL --security-opt no-new-privileges)
  if [[ $engine == podman ]]; then
    command+=(--security-opt label=disable)  # a folder of the host keeps the label that it has
    [[ $(id -u) -eq 0 ]] || command+=(--userns keep-id)
  fi
  # The working directory holds what is named, and is otherwise empty and forgotten.
  command+=(--workdir "$PWD" --tmpfs "/tmp:mode=1777,exec")
  [[ $PWD == /opt/hlg-repro ]] || command+=(--tmpfs "$PWD:mode=1777")  # there the image has its code, not to be hidden
  command+=(--env "HLG_ENGINE=$engine $version" --env "HLG_IMAGE=$image")
  command+=(--env "HLG_IMAGE_DIGEST=${digest:+sha256:${digest##*sha256:}}")
  for one in "${variables[@]}"; do command+=(--env "$one"); done

  case $device in
    cpu)
      command+=(--read-only --shm-size 1g)
      [[ $nodes -gt 1 ]] || command+=(--network none)
      ;;
    gpu)
      if [[ $engine == docker ]]; then
        command+=(--gpus "\"device=$(IFS=,; echo "${devices[*]}")\"")
      else
        for i in "${devices[@]}"; do command+=(--device "nvidia.com/gpu=$i"); done
      fi
      ;;
    ascend)
      # The nodes belong to the driver's group, HwHiAiUser.
      command+=(--group-add "$(stat --format %g "/dev/davinci${devices[0]}" 2>/dev/null || echo 1000)")
      if [[ $engine == docker && $(docker info --format '{{json .Runtimes}}' 2>/dev/null) == *'"ascend"'* ]]; then
        command+=(--runtime ascend --env "ASCEND_VISIBLE_DEVICES=$(IFS=,; echo "${devices[*]}")")
        driver=()
      else
        for i in "${devices[@]}"; do command+=(--device "/dev/davinci$i"); done
        for node in davinci_manager devmm_svm hisi_hdc; do command+=(--device "/dev/$node"); done
      fi
      ;;
  esac
  # Accelerators talk to each other through shared memory, pinned memory and the machine's network.
  [[ $device == cpu ]] || command+=(--ipc host --ulimit memlock=-1:-1 --ulimit stack=67108864:67108864)
  [[ $device == cpu && $nodes -eq 1 ]] || command+=(--network host)
}

driver=() # what programs need of the machine's
[[ $device != ascend ]] ||
  driver=(/usr/local/Ascend/driver /usr/local/dcmi /usr/local/bin/npu-smi /etc/ascend_install.info)
if is_apptainer "$engine"; then
  # shellcheck source=docker/apptainer.sh
  source "$root/docker/apptainer.sh"
  sif_command
else
  container_command
fi
read+=("${driver[@]}")
# The Ascends' own addresses, for several machines.
[[ $device != ascend || ! -e /etc/hccn.conf ]] || read+=(/etc/hccn.conf)

# mount PATH [OPTION]: the same path inside. What already lies in a folder that is mounted needs no mount of its own; a
# symbolic link in it that leads elsewhere does.
mounted=()
mount() {
  local path real
  path=$(realpath --no-symlinks --canonicalize-missing "$1")
  real=$(realpath --canonicalize-missing "$1")
  for folder in "${mounted[@]}"; do
    [[ $real/ != "$folder"/* ]] || return 0
  done
  command+=(--mount "type=bind,source=$path,target=$path${2:-}")
  mounted+=("$real")
}
# pointed PATH: where it leads, if it is a small file that stands for a symbolic link on a storage that has none.
pointed() {
  [[ ! -f $1 || $(head -c 10 "$1" 2>/dev/null | tr -d '\0') != 'hlg-link: ' ]] ||
    printf '%s/%s' "$(dirname "$1")" "$(tail -c +11 "$1")"
}
for path in "${write[@]}"; do
  target=$(pointed "$path")
  dry || mkdir -p "${target:-$path}" || fail "$path: can't be made"
  mount "$path"
  [[ -z $target ]] || mount "$target"
done
for path in "${read[@]}"; do
  dry || [[ -r $path ]] || fail "$path: does not exist, or can't be read"
  mount "$path" ,readonly
  target=$(pointed "$path")
  [[ -z $target ]] || mount "$target" ,readonly
done

split_words "${RUN_OPTIONS:-}"
execute "${command[@]}" "${words[@]}" "$image" "${entry[@]}" "$@"
