#!/usr/bin/env bash
# Says which code lies here, in one line: docker/revision.sh [--untracked]
#   <40 hex digits>[-dirty]        the commit; -dirty where a tracked file differs from it, with --untracked also where
#                                  the folders of an image hold a file that it has not
#   unknown sha256:<hash> <why>    no commit is known; the hash is that of the code
# With --patch it prints what differs from the commit, as `git apply` takes it.
#
# git answers for the repository that it finds, which may be one further up, or the one that a hook's variables name. It
# is believed only where the top of that repository is this folder, and its commit has hlg/.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
code=(hlg repro docker)
mode=${1:-}

# unknown WHY
unknown() {
  local hash
  [[ $mode != --patch ]] || { echo "error: $1" >&2; exit 1; }
  cd "$root"
  hash=$({ find -H "${code[@]}" -type f ! -path '*/__pycache__/*' -print0 2>/dev/null || true; } |
    LC_ALL=C sort -z | xargs -0 sha256sum | sha256sum)
  echo "unknown sha256:${hash%% *} $1"
  exit
}

case ${HLG_COMMIT:-} in # of an image, which has no git
  "") ;;
  unknown) unknown "the image was built from no known commit" ;;
  *)
    [[ $mode != --patch ]] || unknown "an image has its changed code, and no git"
    echo "$HLG_COMMIT"
    exit
    ;;
esac

type -P git >/dev/null || unknown "git is not installed"
export LC_ALL=C
while read -r name; do unset "$name"; done < <(git rev-parse --local-env-vars)
git() { command git -C "$root" "$@"; }

if ! inside=$(git rev-parse --show-prefix 2>&1); then
  case $inside in
    *"dubious ownership"*)
      unknown "git does not trust this folder, which is another user's: git config --global --add safe.directory ${root@Q}" ;;
    *"not a git repository"*) unknown "this folder is no git checkout" ;;
    *) unknown "git fails here: $(head -n 1 <<<"$inside")" ;;
  esac
elif [[ -n $inside ]]; then
  unknown "this folder lies in another git repository"
elif ! git cat-file -e HEAD:hlg/__init__.py 2>/dev/null; then
  unknown "the git repository of this folder has no commit with hlg/"
fi

if [[ $mode == --patch ]]; then # whatever this machine's git is configured to
  git diff --binary --no-color --no-ext-diff --no-textconv --src-prefix=a/ --dst-prefix=b/ HEAD
  exit
fi
changes=$(git status --porcelain --untracked-files=no) || unknown "git can't compare this folder with its commit"
[[ $mode != --untracked ]] || changes=$(git status --porcelain --untracked-files=all -- "${code[@]}" configs)
echo "$(git rev-parse HEAD)${changes:+-dirty}"
