#!/usr/bin/env bash
# The entry of the Ascend image: CANN's own settings, where the base has them, then the command.
set -eo pipefail  # not -u: CANN's scripts read variables that nobody set
settings=/usr/local/Ascend/ascend-toolkit/set_env.sh
# shellcheck source=/dev/null
[[ ! -r $settings ]] || source "$settings"
exec "$@"
