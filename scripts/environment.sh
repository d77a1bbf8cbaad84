# Sourced by the other scripts: makes .venv and installs Berth into it.
# shellcheck shell=bash

root="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
venv="$root/.venv"

# Runs are many short processes that import the same large libraries: without byte code each of
# them would compile all of them again, which takes longer than most of what they do.
unset PYTHONDONTWRITEBYTECODE

say() { printf '%s\n' "$*" >&2; }

fail() {
  say "error: $*"
  exit 1
}

as_root_with_apt() { [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; }

apt_install() {
  say "Installing $* from Debian's packages ..."
  # The lists may be absent or old on a fresh machine; a failing refresh alone is no reason to stop.
  DEBIAN_FRONTEND=noninteractive apt-get update -qq >/dev/null 2>&1 || true
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >/dev/null
}

# Prints the first Python that is new enough. Debian's own comes first: it is built to be fast (by
# profiles and at link time), which takes a fifth off the processor time of the tests compared with
# one that pyenv builds by default.
find_python() {
  local candidate
  for candidate in ${BERTH_PYTHON:+"$BERTH_PYTHON"} /usr/bin/python3 python3.11 python3.12 python3.13 python3; do
    if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 &&
      has_venv "$candidate"; then
      printf '%s\n' "$candidate"
      return
    fi
    [ "$candidate" != "${BERTH_PYTHON:-}" ] || break
  done
  fail "${BERTH_PYTHON:+BERTH_PYTHON=$BERTH_PYTHON does not do: }Berth needs Python 3.11 or newer with venv; on Debian: apt-get install python3 python3-venv"
}

# Debian has the module in a package of its own.
has_venv() {
  "$1" -c 'import ensurepip, venv' >/dev/null 2>&1 && return
  as_root_with_apt && apt_install python3-venv && "$1" -c 'import ensurepip, venv' >/dev/null 2>&1
}

make_venv() {
  [ -x "$venv/bin/python" ] && "$venv/bin/python" -c '' >/dev/null 2>&1 && return
  local python
  python="$(find_python)"
  say "Making .venv with $("$python" --version) ..."
  "$python" -m venv --clear "$venv"
}

# The stamp changes when anything does that decides what is installed.
stamp_of() {
  { cat "$root/pyproject.toml" "$root/constraints.txt"; "$venv/bin/python" --version; printf '%s\n' "$root" "$1"; } |
    sha256sum | cut -d ' ' -f 1
}

# install EXTRAS: installs Berth, editable, with the extras ("" for none).
install() {
  local extras="$1" stamp target
  make_venv
  stamp="$(stamp_of "$extras")"
  [ "$(cat "$venv/.berth-$extras" 2>/dev/null)" = "$stamp" ] && return
  # Development extras contain the default install and the compiled loops.
  if [ "$extras" != dev,docs ] && [ "$(cat "$venv/.berth-dev,docs" 2>/dev/null)" = "$(stamp_of dev,docs)" ]; then
    return
  fi
  target="$root${extras:+[$extras]}"
  say "Installing Berth${extras:+ with $extras} into .venv ..."
  if ! install_with_uv "$target"; then
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check \
      --constraint "$root/constraints.txt" --editable "$target"
  fi
  printf '%s\n' "$stamp" >"$venv/.berth-$extras"
}

# uv installs several times faster than pip; without it, pip does the same work.
install_with_uv() {
  local uv tools="" status=0
  if ! uv="$(command -v uv)"; then
    # Outside .venv, since Berth itself does not need it.
    tools="$(mktemp -d)"
    uv="$tools/bin/uv"
    if ! "$venv/bin/python" -m pip install --quiet --disable-pip-version-check \
      --target "$tools" uv >/dev/null 2>&1; then
      rm -rf "$tools"
      return 1
    fi
  fi
  # Machines behind a company proxy have its certificate in the system's store only.
  if [ -z "${SSL_CERT_FILE:-}" ] && [ -r /etc/ssl/certs/ca-certificates.crt ]; then
    export SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt
  fi
  "$uv" pip install --quiet --python "$venv/bin/python" \
    --constraint "$root/constraints.txt" --editable "$1" || status=$?
  [ -z "$tools" ] || rm -rf "$tools"
  return "$status"
}

# once NAME COMMAND...: runs a check that keeps nothing of its own between runs, unless it succeeded
# before with the same files, tools and command. Files: all Python of the repository and its settings.
once() {
  local name="$1" stamp kept
  shift
  kept="$root/build/checked/$name"
  stamp="$({ cat "$root/pyproject.toml" "$root/constraints.txt"; printf '%s\n' "$@"
    git -C "$root" ls-files -z --cached --others --exclude-standard -- '*.py' '*.pyi' |
      (cd "$root" && sort -zu | xargs -0 sha256sum 2>/dev/null); } | sha256sum | cut -d ' ' -f 1)"
  if [ -z "${CI:-}" ] && [ "$(cat "$kept" 2>/dev/null)" = "$stamp" ]; then
    printf '%s\n' "$name: nothing changed since it succeeded"
    return 0
  fi
  "$@" || return
  mkdir -p "$root/build/checked"
  printf '%s\n' "$stamp" >"$kept"
}
