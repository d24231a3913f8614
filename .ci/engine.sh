# shellcheck shell=bash
# The image by podman, on a Debian machine where no engine runs and no registry answers; sourced by run, as root.
# Leaves its settings in the environment. What is made stays in ENGINE_HOME, and a second call finds it there.

ENGINE_HOME=${ENGINE_HOME:-/var/tmp/hlg-engine}
mkdir -p "$ENGINE_HOME"
# Without systemd, and with the limits of this machine.
cat >"$ENGINE_HOME/containers.conf" <<EOF
[containers]
default_ulimits = ["nofile=$(ulimit -Hn):$(ulimit -Hn)", "nproc=32768:32768"]
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
EOF
cat >"$ENGINE_HOME/storage.conf" <<EOF
[storage]
driver = "overlay"
graphroot = "$ENGINE_HOME/storage"
runroot = "$ENGINE_HOME/run"
EOF
export CONTAINERS_CONF=$ENGINE_HOME/containers.conf CONTAINERS_STORAGE_CONF=$ENGINE_HOME/storage.conf
export ENGINE=podman BASE_IMAGE=localhost/hlg-base BUILD_OPTIONS=--network=host
# While an image is built, pip trusts whom this machine trusts.
[[ -n ${CA_BUNDLE:-} || ! -s /etc/ssl/certs/ca-certificates.crt ]] || export CA_BUNDLE=/etc/ssl/certs/ca-certificates.crt

# Podman, a base, and the image.
build_image() {
  if ! type podman buildah runc mmdebstrap >/dev/null 2>&1; then
    apt-get update -qq
    apt-get install -y -qq --no-install-recommends podman buildah runc mmdebstrap >/dev/null
  fi
  if ! podman image exists "$BASE_IMAGE"; then
    SOURCE_DATE_EPOCH=0 mmdebstrap --quiet --variant=minbase bookworm "$ENGINE_HOME/base.tar"
    printf 'FROM scratch\nADD base.tar /\nCMD ["bash"]\n' |
      podman build --quiet --timestamp 0 --tag hlg-base --file - "$ENGINE_HOME" >/dev/null
    rm "$ENGINE_HOME/base.tar"
  fi
  make image-cpu
}
