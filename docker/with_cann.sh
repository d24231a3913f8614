#!/usr/bin/env bash
# Runs a command with CANN's own settings, where this machine or image has them: with_cann.sh COMMAND [ARGUMENT]...
# It is the entry of the Ascend image. A shell that is set up for a CANN in another place keeps that.
set -eo pipefail  # not -u: CANN's scripts read variables that nobody set
for home in /usr/local/Ascend/{ascend-toolkit,cann}; do
  if [[ -r $home/set_env.sh && ${ASCEND_HOME_PATH:-$home/} == "$home"/* ]]; then
    # shellcheck source=/dev/null
    source "$home/set_env.sh"
    break
  fi
done
exec "$@"
