# Sourced by demo, test and check: goes to the project's folder and makes its virtual environment, once.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# Hundreds of processes are started here: what one has compiled of Python, the others need not.
unset PYTHONDONTWRITEBYTECODE

say() { printf '%s\n' "$*"; }

# The first of these that is Python 3.11 or newer.
find_python() {
  local name
  for name in python3 python3.14 python3.13 python3.12 python3.11; do
    if "$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
      printf '%s' "$name"
      return
    fi
  done
  say "dnsonde needs Python 3.11 or newer; none was found." >&2
  say "On Debian 12 and later: apt-get install python3 python3-venv" >&2
  exit 3
}

# environment run|dev|spark: the pinned packages in .venv; nothing to do where they already are.
environment() {
  local extra="" python stamp state
  [ "$1" = dev ] && extra="[dev]"
  [ "$1" = spark ] && extra="[dev,spark]"
  stamp=".venv/ready-$1"
  state=$(cat pyproject.toml constraints.txt | cksum)
  if [ ! -x .venv/bin/python ] || ! .venv/bin/python -c '' 2>/dev/null; then
    python=$(find_python)
    say "Making a virtual environment in .venv with $("$python" --version)."
    rm -rf .venv
    if ! "$python" -m venv .venv >/dev/null 2>&1; then
      if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        say "Adding Debian's python3-venv."
        apt_get update && apt_get install python3-venv
        rm -rf .venv
      fi
      "$python" -m venv .venv || { say "Python's venv module is missing: apt-get install python3-venv" >&2; exit 3; }
    fi
  fi
  if [ "$(cat "$stamp" 2>/dev/null)" != "$state" ]; then
    say "Installing the pinned packages (a minute or two, once)."
    .venv/bin/python -m pip install -qq --disable-pip-version-check -c constraints.txt -e ".$extra"
    printf '%s' "$state" >"$stamp"
    # The development set holds everything that running needs, and Spark's holds that.
    [ "$1" = run ] || printf '%s' "$state" >.venv/ready-run
    [ "$1" = spark ] && printf '%s' "$state" >.venv/ready-dev
  fi
  PATH="$PWD/.venv/bin:$PATH"
  export PATH
}

apt_get() {
  local action=$1
  shift
  DEBIAN_FRONTEND=noninteractive apt-get "$action" -qq -y --no-install-recommends "$@" >/dev/null
}
