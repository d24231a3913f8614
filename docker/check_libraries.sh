#!/usr/bin/env bash
# Whether the loader finds all that MindSpore's plugin needs: check_libraries.sh gpu|ascend [VENV], by default the image's.
# The driver's libraries come from the host when a container starts, so they have to be missing where there is no driver.
set -euo pipefail
plugins=$(echo "${2:-/opt/venv}"/lib/python3*/site-packages/mindspore/lib/plugin)

# missing FILE...: the libraries that are not found, one a line.
missing() {
  ldd "$@" | awk '/not found/ { print $1 }' | sort -u
}

# undefined FILE: the functions that no library has, but Python's own, which the interpreter brings.
undefined() {
  ldd -r "$1" 2>&1 | awk '/^undefined symbol:/ && $3 !~ /^_?Py/ { print $3 }' | sort -u
}

case $1 in
  gpu)
    [[ -e ${CUDA_HOME:?is not set, and without it MindSpore does not try its GPU plugin}/lib/libcudart.so.11.0 ]]
    found=$(missing "$plugins"/libmindspore_gpu.so.11.6 "$plugins"/gpu/*.so* "$plugins"/gpu11.6/*.so*)
    if [[ -z $found && $(PATH=$PATH:/sbin ldconfig -p) == *"libcuda.so.1 "* ]]; then
      echo "the GPU plugin lacks nothing"
      exit
    elif [[ $found != libcuda.so.1 ]]; then
      printf 'error: of the libraries of the GPU plugin only libcuda.so.1 should be missing; missing are:\n%s\n' "$found" >&2
      exit 1
    fi
    # libcuda's functions are called cu and a capital letter, such as cuLaunchKernel.
    functions=$(undefined "$plugins"/libmindspore_gpu.so.11.6)
    if [[ -z $functions ]] || grep -q -v '^cu[A-Z]' <<<"$functions"; then
      printf 'error: the GPU plugin should lack functions of libcuda.so.1 alone; it lacks:\n%s\n' "$functions" >&2
      exit 1
    fi
    echo "the GPU plugin lacks libcuda.so.1 alone, which the driver brings, for: ${functions//$'\n'/, }"
    ;;
  ascend)
    # Never seen with a driver, so what is missing is listed and judged by nobody.
    found=$(missing "$plugins"/libmindspore_ascend.so.2)
    [[ -n ${ASCEND_TOOLKIT_HOME:-} ]] || echo "this base has no CANN (ASCEND_TOOLKIT_HOME is not set): built, but not to be run"
    printf 'libraries that the Ascend plugin does not find yet; the driver brings its own:\n%s\n' "${found:-none}"
    ;;
esac
