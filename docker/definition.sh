#!/usr/bin/env bash
# Prints what Apptainer builds the image of a device from, made of its Dockerfile: docker/definition.sh cpu|gpu|ascend
# It takes the code from the folder `code` and the secrets of the build from `secrets`, where Apptainer is started.
#
# Read from the environment: the arguments that the Dockerfile names. BASE_IMAGE may also say where the base is, as in
# oci-archive:base.tar, docker-archive:base.tar, or localimage:base.sif.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# shellcheck source=docker/engine.sh
source "$root/docker/engine.sh"
dockerfile=$root/docker/$1.Dockerfile

declare -A arguments=()
# filled TEXT: with the values of the arguments; what else begins with a $ is the shell's in the image.
filled() {
  local text=$1 name
  for name in "${!arguments[@]}"; do text=${text//"\${$name}"/"${arguments[$name]}"}; done
  echo "$text"
}

base='' post=() environment=() labels=()
while read -r instruction rest; do
  case $instruction in
    "" | "#"* | COPY) ;; # the code is there before the first step
    USER | WORKDIR | ENTRYPOINT | CMD) ;; # docker/apptainer.sh says these
    ARG)
      name=${rest%%=*}
      [[ -v arguments[$name] ]] || arguments[$name]=
      [[ $rest != *=* ]] || arguments[$name]=$(filled "${rest#*=}")
      [[ -z ${!name:-} ]] || arguments[$name]=${!name}
      post+=("$name=${arguments[$name]@Q}")
      ;;
    FROM) base=$(filled "$rest") ;;
    RUN)
      while [[ $rest == --* ]]; do rest=${rest#* }; done # the secrets are files here
      post+=("$rest")
      ;;
    ENV)
      rest=$(filled "$rest")
      post+=("export $rest") environment+=("export $rest")
      ;;
    LABEL) while read -r label; do labels+=("${label%%=*} ${label#*=}"); done < <(filled "$rest" | xargs -n 1) ;;
    *) fail "$dockerfile: docker/definition.sh knows no $instruction" ;;
  esac
done < <(sed -e ':line' -e '/\\$/ { N; s/\\\n */ /; b line' -e '}' "$dockerfile")

transport=docker
if [[ $base =~ ^(docker-daemon|docker-archive|oci-archive|localimage):(.+)$ ]]; then
  transport=${BASH_REMATCH[1]} base=${BASH_REMATCH[2]}
fi
cat <<END
Bootstrap: $transport
From: $base

%files
    code /opt/hlg-repro
    secrets /run/secrets

%post -c /bin/bash
    set -euo pipefail
    echo 'APT::Sandbox::User "root";' >/etc/apt/apt.conf.d/hlg-build # a caller without rights has no other user
$(printf '    %s\n' "${post[@]}")
    rm -rf /etc/apt/apt.conf.d/hlg-build /run/secrets

%environment
$(printf '    %s\n' "${environment[@]}")

%labels
$(printf '    %s\n' "${labels[@]}")
END
