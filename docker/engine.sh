# shellcheck shell=bash
# Which container engine answers; sourced by build.sh and run.sh.

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

# execute COMMAND...: do it, or with DRY_RUN=1 print it so that a shell would read the same words.
execute() {
  local word
  [[ ${DRY_RUN:-} == 1 ]] || exec "$@"
  for word in "$@"; do
    [[ $word =~ ^[A-Za-z0-9_@%+=:,./-]+$ ]] || word=${word@Q}
    printf '%s ' "$word"
  done
  echo
}
