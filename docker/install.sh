#!/usr/bin/env bash
# Runs while an image is built: install.sh cpu|gpu|ascend [RELEASE of MindSpore]
# Installs Python where the base has none that fits, the locked packages in /opt/venv, and leaves nothing behind that
# the device does not need, or that would differ from one build to the next.
set -euo pipefail
device=$1
here=$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")
export DEBIAN_FRONTEND=noninteractive PIP_NO_CACHE_DIR=1 PYTHONDONTWRITEBYTECODE=1
TMPDIR=$(mktemp -d)  # Apptainer builds with this machine's /tmp, in which nothing else is to be touched
export TMPDIR

# Secrets of the build: they are mounted for this step alone.
[[ ! -s /run/secrets/ca-bundle ]] || export PIP_CERT=/run/secrets/ca-bundle
[[ ! -s /run/secrets/pip-config ]] || export PIP_CONFIG_FILE=/run/secrets/pip-config

# libgomp1: MindSpore's OpenMP. tini: passes signals on to the program, and reaps what that leaves.
packages=(libgomp1 tini)
fits='import ensurepip, sys; sys.exit(sys.version_info[:2] not in ((3, 11), (3, 12)))'
python3 -c "$fits" 2>/dev/null || packages+=(python3 python3-venv)
apt-get update -qq
apt-get install -y -qq --no-install-recommends "${packages[@]}" >/dev/null
python3 -c "$fits" || { echo "error: this base has no Python 3.11 or 3.12, and apt none to offer" >&2; exit 1; }

python3 "$here/../repro/bootstrap.py" --venv /opt/venv --lock "$here/$device.lock" --mindspore "${2:-}"
site=$(echo /opt/venv/lib/python3*/site-packages)

# MindSpore's wheel is for every device: 2.4 GB, of which a CPU uses a fifth.
ascend=("$site"/mindspore/lib/plugin/{ascend,libmindspore*ascend*})
nvidia=("$site"/mindspore/lib/plugin/{gpu*,libmindspore_gpu.so.*})
case $device in
  # AKG is the compiler of fused kernels, which MindSpore asks only where graph kernels are switched on: 130 MB.
  cpu) unused=("${ascend[@]}" "${nvidia[@]}" "$site"/mindspore/{lib/plugin/cpu/libakg.so,_akg}) ;;
  gpu) unused=("${ascend[@]}" "$site"/mindspore/lib/plugin/{gpu11.1,libmindspore_gpu.so.11.1}) ;;
  ascend) unused=("${nvidia[@]}") ;;
  *) exit 2 ;;
esac
rm -rf "${unused[@]}" "$site/mindspore/include" "$site/cv2/data"  # headers; OpenCV's trained face detectors
find "$site"/{numpy,scipy,matplotlib} -type d -name tests -prune -exec rm -rf {} +  # their own: 50 MB

if [[ $device == gpu ]]; then
  # The loader finds the libraries by itself; no variable has to carry them from process to process.
  "$here/with_cuda.sh" /opt/venv printenv LD_LIBRARY_PATH | tr : '\n' >/etc/ld.so.conf.d/hlg.conf
  ln -s "$site/nvidia/cuda_runtime" /opt/cuda # as the image's CUDA_HOME
  ldconfig
fi

/opt/venv/bin/python -m pip uninstall --quiet --yes pip setuptools uv 2>/dev/null
rm -f "$site"/*.dist-info/uv_cache.json # when each wheel was downloaded
sed -i '/uv_cache\.json/d' "$site"/*.dist-info/RECORD
rm -rf /var/lib/apt/lists/* /var/cache/apt/* /var/cache/ldconfig/aux-cache /var/cache/debconf/*-old /var/lib/dpkg/*-old \
  /var/log/* /root/.cache "$TMPDIR"
# Byte code that does not know when its source was written. Some packages carry templates that are not Python.
library=$(python3 -c 'import os; print(os.path.dirname(os.__file__))')
find /opt/venv "$library" -name __pycache__ -prune -exec rm -rf {} +
python3 -W ignore -m compileall -q --invalidation-mode unchecked-hash /opt/venv "$library" >/dev/null || true
# A user of its own, unless the base has one of that number. What runs as another user finds nothing it may not read.
getent passwd 1000 >/dev/null || useradd --uid 1000 --user-group --no-create-home --home-dir /tmp hlg
