# Sourced by the run scripts: a .venv of this folder with exactly what a requirements file lists, installed once.
PYTHON=${PYTHON:-python3}
"$PYTHON" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed; set PYTHON to one." >&2; exit 1; }
.venv/bin/python -m pip --version > /dev/null 2>&1 || "$PYTHON" -m venv --clear .venv
source .venv/bin/activate
wanted=$(cat requirements.txt "$1" pyproject.toml | cksum)
if [ "$(cat ".venv/$1.installed" 2>/dev/null)" != "$wanted" ]; then
    echo "Installing $1 into .venv ..."
    python -m pip install --quiet --disable-pip-version-check -r "$1"
    python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
    echo "$wanted" > ".venv/$1.installed"
fi
export TF_CPP_MIN_LOG_LEVEL=${TF_CPP_MIN_LOG_LEVEL:-2}
