#!/usr/bin/env bash
# Sets itself up, then lint and all tests; flags go to pytest (`./run_tests.sh -m slow` for those that take minutes).
set -euo pipefail
cd "$(dirname "$0")"
source ./set_up.sh requirements-dev.txt

ruff check .
python -m pytest -q -n 3 --dist loadfile --no-loadscope-reorder "$@"
