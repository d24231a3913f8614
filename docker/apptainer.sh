# shellcheck shell=bash
# How build.sh and run.sh use Apptainer, or Singularity: ENGINE=apptainer; sourced by them.
# shellcheck disable=SC2154,SC2034 # what is not set here is theirs, and so is what is not read

# sif_of DEVICE: print the file that is built. A cluster's nodes see it where they see this project.
sif_of() {
  local name
  name=$(image_of "$1")
  echo "$root/build/images/${name/:/-}.sif"
}

# sif_digest IMAGE: print the hash of a file, which is kept beside it, for it takes a while; or the one in a registry's name.
sif_digest() {
  local hash
  if [[ $1 == *@sha256:* ]]; then
    echo "${1##*@}"
  elif [[ -f $1 && $1.sha256 -nt $1 ]]; then
    read -r hash _ <"$1.sha256"
    echo "sha256:$hash"
  elif [[ -f $1 ]]; then
    hash=$(sha256sum <"$1")
    hash=${hash%% *}
    echo "sha256:$hash"
    # Of two who do this at a time each keeps the same; who may not write there does it again.
    { echo "$hash  ${1##*/}" >"$1.sha256.$$" && mv -f "$1.sha256.$$" "$1.sha256"; } 2>/dev/null || true
  fi
}

# sif_build: build the image from its definition, unless the one that is there was built from the same.
sif_build() {
  local image definition parts inputs command=("$engine" build)
  image=$(sif_of "$device")
  definition=$(REVISION=$revision SOURCE=$source VERSION=$version CANN=${CANN:-} CHIP=${CHIP:-} \
    BASE_IMAGE=${BASE_IMAGE:-} MINDSPORE=$MINDSPORE "$root/docker/definition.sh" "$device")
  [[ $(id -u) -eq 0 ]] || command+=(--fakeroot)
  split_words "${BUILD_OPTIONS:-}"
  command+=("${words[@]}" "$image" definition)
  if dry; then
    print_command "${command[@]}"
    echo "$definition"
    return
  fi
  mkdir -p "${image%/*}"
  work=$(mktemp -d "${image%/*}/.build.XXXXXX")
  trap 'rm -rf "$work"' EXIT
  mapfile -t parts < <(sed -n 's/^!//p' "$root/.dockerignore")
  tar --create --file "$work/code.tar" --directory "$root" --exclude __pycache__ --exclude '.*' \
    --sort name --mtime @0 --owner 0 --group 0 --mode u+w,a+rX "${parts[@]}"
  inputs=$(cat - "$work/code.tar" <<<"$definition" | sha256sum)
  if [[ $("$engine" inspect --labels "$image" 2>/dev/null) == *"hlg-repro.inputs: ${inputs%% *}"* ]]; then
    echo "$image is up to date"
    return
  fi
  printf '%s\n    hlg-repro.inputs %s\n' "$definition" "${inputs%% *}" >"$work/definition"
  mkdir "$work/code" "$work/secrets"
  tar --extract --file "$work/code.tar" --directory "$work/code"
  [[ -z ${CA_BUNDLE:-} ]] || cp -L "$CA_BUNDLE" "$work/secrets/ca-bundle"
  [[ -z ${PIP_CONFIG:-} ]] || cp -L "$PIP_CONFIG" "$work/secrets/pip-config"
  print_command "${command[@]}"
  command[-2]=image.sif
  (cd "$work" && "${command[@]}")
  mv -f "$work/image.sif" "$image"
  sif_digest "$image" >/dev/null
}

# sif_command: what runs an image, into `command`, `image` and `entry`.
sif_command() {
  local digest ranked all
  image=${IMAGE:-$(sif_of "$device")}
  [[ $image == *://* || -r $image ]] || dry ||
    fail "IMAGE: $image does not exist, or can't be read: build it by 'make image-$device ENGINE=$engine', or name another"
  dry || digest=$(sif_digest "$image")
  ranked=$(IFS=,; echo "${devices[*]}")

  # Nothing of this machine, neither its variables nor its processes; the caller's own number anyway.
  command=("$engine" --quiet exec --containall --pwd "$PWD")
  [[ $PWD == /opt/hlg-repro ]] || command+=(--scratch "$PWD")
  # Apptainer knows no entry point. It gives 64 MB to /tmp, and half of the memory to /dev/shm, as docker does to /tmp.
  entry=(env HOME=/dev/shm TMPDIR=/dev/shm "HLG_ENGINE=$engine $version" "HLG_IMAGE=$image")
  entry+=("HLG_IMAGE_DIGEST=${digest:-}" "${variables[@]}")
  case $device in
    cpu) [[ $nodes -gt 1 ]] || command+=(--net --network none) ;;
    gpu)
      # All of the caller's, of which CUDA takes these, in the order of nvidia-smi.
      [[ $ranked != *:* ]] || fail "$where: found '$given'; CUDA knows a MIG instance by its UUID alone (nvidia-smi -L)"
      command+=(--nv)
      entry+=(CUDA_DEVICE_ORDER=PCI_BUS_ID "CUDA_VISIBLE_DEVICES=$ranked")
      ;;
    ascend)
      # All of the machine's, for CANN counts them.
      all=(/dev/davinci[0-9]*)
      [[ -e ${all[0]} ]] || all=("${devices[@]/#//dev/davinci}")
      read+=("${all[@]}" /dev/{davinci_manager,devmm_svm,hisi_hdc})
      entry+=("ASCEND_RT_VISIBLE_DEVICES=$ranked" ASCEND_WORK_PATH=/dev/shm /opt/hlg-repro/docker/with_cann.sh)
      ;;
  esac
  [[ $device == cpu ]] || ulimit -S -l "$(ulimit -H -l)" # pinned memory, as far as the caller may
}
