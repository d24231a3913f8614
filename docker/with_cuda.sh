#!/usr/bin/env bash
# Runs a command with the CUDA libraries of an environment, if that has some: with_cuda.sh VENV COMMAND [ARGUMENT]...
set -euo pipefail
site=$(realpath "$1")
site=$(echo "$site"/lib/python3*/site-packages)
if [[ -d $site/nvidia/cuda_runtime ]]; then
  folders=("$site"/nvidia/*/lib "$site"/mindspore/lib{,/plugin,/plugin/gpu,/plugin/gpu11.6})
  LD_LIBRARY_PATH=$(IFS=:; echo "${folders[*]}")${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
  # MindSpore tries its GPU plugin only where CUDA_HOME names a folder, and reads CUDA's version off a name with three
  # numbers in it, which the package's file does not have.
  export LD_LIBRARY_PATH CUDA_HOME=$site/nvidia/cuda_runtime
  runtime=("$site"/nvidia_cuda_runtime_cu11-*.dist-info)
  version=${runtime[0]##*cu11-}
  ln -s libcudart.so.11.0 "$CUDA_HOME/lib/libcudart.so.${version%.dist-info}" 2>/dev/null || true # it is there
fi
export CUDA_DEVICE_ORDER=PCI_BUS_ID # as nvidia-smi counts
exec "${@:2}"
