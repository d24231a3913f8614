#!/usr/bin/env bash
# Builds the image of a device from this checkout: docker/build.sh cpu|gpu|ascend
#
# Read from the environment, all optional:
#   ENGINE         docker, podman, apptainer or singularity; otherwise docker or podman, the first one that answers
#   IMAGE          a ready image, with which there is nothing to build
#   BASE_IMAGE     another base than the Dockerfile's: a mirror's, or a local one
#   MINDSPORE      a release other than the default; docker/stacks.json lists them
#   CANN, CHIP     of the Ascend image's default base: CANN's version, else one for the release; 910 or 910b (Atlas A2)
#   CA_BUNDLE      certificates that pip trusts while it installs; they do not stay in the image
#   PIP_CONFIG     a pip.conf, for example with a mirror of PyPI; it does not stay either
#   BUILD_OPTIONS  more words for the engine's build, such as --network=host
#   DRY_RUN        1 prints the command
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# shellcheck source=docker/engine.sh
source "$root/docker/engine.sh"

[[ $# -eq 1 && -f $root/docker/$1.Dockerfile ]] || fail "usage: docker/build.sh cpu|gpu|ascend"
device=$1
[[ -z ${IMAGE:-} ]] || exit 0
engine=$(choose_engine)

# The commit whose code goes into the image; anything that differs from it, or is not in it, makes it "-dirty".
revision=$("$root/docker/revision.sh" --untracked)
revision=${revision%% *}
# Where that code came from: a plain address on the web, without what stands before an @, such as a password. Whatever
# else the remote is called, a password may be in any part of it.
source=unknown
if [[ $revision != unknown ]] && origin=$(git -C "$root" remote get-url origin 2>/dev/null); then
  [[ ! $origin =~ ^https://([^/@]*@)?([A-Za-z0-9.-]+(:[0-9]+)?(/[A-Za-z0-9._~/+-]*)?)$ ]] ||
    source=https://${BASH_REMATCH[2]}
fi
version=$(sed -n 's/^version = "\(.*\)"$/\1/p' "$root/pyproject.toml")
[[ $device != ascend ]] || CANN=${CANN:-$(release_value image)}

for name in CA_BUNDLE PIP_CONFIG; do
  dry || [[ -z ${!name:-} || -r ${!name} ]] || fail "$name: ${!name} can't be read"
  [[ ${!name:-} != *[,\"$'\n']* ]] || fail "$name: ${!name@Q}: an engine takes no path with a comma, a quote or a line break"
done
if is_apptainer "$engine"; then
  # shellcheck source=docker/apptainer.sh
  source "$root/docker/apptainer.sh"
  sif_build
  exit
fi

command=("$engine" build --file "$root/docker/$device.Dockerfile" --tag "$(image_of "$device")")
for argument in "REVISION=$revision" "SOURCE=$source" "VERSION=$version" "MINDSPORE=$MINDSPORE"; do
  command+=(--build-arg "$argument")
done
for name in BASE_IMAGE CANN CHIP; do
  [[ -z ${!name:-} || ($device != ascend && $name != BASE_IMAGE) ]] || command+=(--build-arg "$name=${!name}")
done
[[ -z ${CA_BUNDLE:-} ]] || command+=(--secret "id=ca-bundle,src=$CA_BUNDLE")
[[ -z ${PIP_CONFIG:-} ]] || command+=(--secret "id=pip-config,src=$PIP_CONFIG")
# The same pins make the same image: no time of day in it, and no record of the build beside it.
if [[ $engine == podman ]]; then
  command+=(--timestamp 0)
else
  export DOCKER_BUILDKIT=1 BUILDX_NO_DEFAULT_ATTESTATIONS=1 SOURCE_DATE_EPOCH=0
fi
split_words "${BUILD_OPTIONS:-}"
execute "${command[@]}" "${words[@]}" "$root"
