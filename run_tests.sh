#!/usr/bin/env bash
# Installs what the tests need, then runs lint, the type checker and all fast tests. Flags go to pytest: `./run_tests.sh -m slow`.
set -euo pipefail
cd "$(dirname "$(readlink -f "$0")")"
source ./set_up.sh test

ruff check .
mypy
python -m pytest -q -n 3 --dist loadfile --no-loadscope-reorder "$@"
