#!/usr/bin/env bash
# Installs pixmend into .venv from a lock file, once: `./set_up.sh` for a run, `./set_up.sh cuda` for NVIDIA GPUs (also: tpu, postgres, web, loggers, sharing, pretrained, test).
# The run scripts source this file. An installation that was interrupted has no mark of completion, so it is made anew.

fail() { echo "$1" >&2; exit 1; }

find_python() {
    local python=${PYTHON:-python3}
    command -v "$python" > /dev/null || fail "$python was not found. Install Python 3.11, 3.12 or 3.13, or set PYTHON to one of them."
    "$python" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' ||
        fail "$("$python" --version) is not supported: TensorFlow has packages for Python 3.11, 3.12 and 3.13. Set PYTHON to one of them, for example PYTHON=python3.13 $0"
    echo "$python"
}

make_environment() {   # PYTHON
    rm -rf .venv
    if command -v uv > /dev/null; then
        uv venv --quiet --seed --python "$1" .venv || fail "uv could not make .venv (see above)."
    else
        "$1" -m venv .venv > .venv.log 2>&1 || { rm -rf .venv
            fail "$1 cannot make a virtual environment ($(tail -n 1 .venv.log)). On Debian and Ubuntu: sudo apt install python3-venv. Elsewhere: install uv. Then run the same command again."; }
        rm -f .venv.log
    fi
    pwd -P > .venv/place
}

install_lock() {   # LOCK
    echo "Installing $1 into .venv ..."
    mv .venv/installed .venv/installed.before 2> /dev/null || true
    .venv/bin/python -m pip install --quiet --disable-pip-version-check -r "$1" &&
        .venv/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --editable . ||
        fail "$1 could not be installed (see above). Run the same command again: it starts anew."
    .venv/bin/python -c 'import keras, pixmend' 2> .venv/import.log ||
        fail "The installed packages cannot be imported: $(tail -n 1 .venv/import.log) Run the same command again: it starts anew."
    { grep -v "^\($1\|requirements.txt\) " .venv/installed.before 2> /dev/null || true
      state_of requirements.txt; state_of "$1"; } | sort -u > .venv/installed.part
    mv .venv/installed.part .venv/installed
}

state_of() { echo "$1 $(cat "$1" pyproject.toml | cksum)"; }

is_installed() {   # LOCK
    grep -qxF "$(state_of "$1")" .venv/installed 2> /dev/null && .venv/bin/python -c '' 2> /dev/null
}

wait_for_others() {   # two installations at once would delete each other's packages; macOS has no flock
    exec 9> .venv.lock
    command -v flock > /dev/null || return 0
    flock -n 9 || { echo "Another installation into .venv is at work. Waiting for its end ..."; flock 9 || true; }
}

set_up() {   # EXTRA or `base`
    local lock=requirements-$1.txt
    [ "$1" != base ] || lock=requirements.txt
    # The environment of a checkout that was moved or copied still names its old place.
    [ ! -f .venv/place ] || [ "$(cat .venv/place)" = "$(pwd -P)" ] || rm -f .venv/installed
    [ -f "$lock" ] || fail "There is no $lock. Known extras: cuda, tpu, postgres, web, loggers, sharing, pretrained, test."
    if is_installed "$lock"; then return; fi
    wait_for_others
    is_installed "$lock" || make_installation "$lock"
    exec 9>&-   # what runs next does not hold the lock
}

make_installation() {   # LOCK
    local python wanted found
    python=$(find_python) || exit 1
    wanted=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
    found=$(.venv/bin/python -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2> /dev/null || true)
    if [ -n "$found" ] && [ "$found" != "$wanted" ]; then echo "The environment in .venv is of Python $found; making it anew for Python $wanted ..."; fi
    if [ "$found" != "$wanted" ] || [ ! -f .venv/installed ]; then make_environment "$python"; fi
    install_lock "$1"
}

[ "${BASH_SOURCE[0]}" != "$0" ] || { set -euo pipefail; cd "$(dirname "$(readlink -f "$0")")"; }
set_up "${1:-base}"
source .venv/bin/activate
export TF_CPP_MIN_LOG_LEVEL=${TF_CPP_MIN_LOG_LEVEL:-2}
