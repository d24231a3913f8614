# shellcheck shell=bash
# Which container engine answers; sourced by build.sh, run.sh and start.sh.

fail() {
  printf 'error: %s\n' "$*" >&2
  exit 2
}

# The version of an engine, or nothing: a client whose engine does not answer does not count, and podman that is called
# docker is podman.
engine_version() {
  case $1 in
    docker)
      [[ $(timeout 20 docker --version 2>/dev/null) == *podman* ]] ||
        timeout 20 docker version --format '{{.Server.Version}}' 2>/dev/null || true
      ;;
    podman) timeout 20 podman info --format '{{.Version.Version}}' 2>/dev/null || true ;;
  esac
}

# The engine to use: ENGINE, or the first of docker and podman that answers.
choose_engine() {
  local candidate
  [[ ${ENGINE:-docker} =~ ^(docker|podman)$ ]] || fail "ENGINE: found '$ENGINE'; allowed: docker or podman"
  for candidate in ${ENGINE:-docker podman}; do
    if [[ -n $(engine_version "$candidate") ]]; then
      echo "$candidate"
      return
    fi
  done
  [[ -z ${ENGINE:-} ]] || fail "ENGINE: '$ENGINE' does not answer: is it installed, and its service running?"
  fail "no container engine answers: install podman, or install docker and start its service ('docker version' must" \
    "show a server). Without one: CONTAINER=0, with Python 3.11 on this machine"
}

dry() { [[ ${DRY_RUN:-} == 1 ]]; }

# print_command COMMAND...: so that a shell would read the same words.
print_command() {
  local word line=
  for word in "$@"; do
    [[ $word =~ ^[A-Za-z0-9_@%+=:,./-]+$ ]] || word=${word@Q}
    line+=" $word"
  done
  echo "${line# }"
}

# execute COMMAND...: become it, or with DRY_RUN=1 print it.
execute() {
  if dry; then print_command "$@"; else exec "$@"; fi
}
