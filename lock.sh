#!/usr/bin/env bash
# Writes the lock files anew from pyproject.toml, with hashes, for Python 3.11 to 3.13 on all systems. Needs uv. Versions stay unless `--upgrade` is given.
set -euo pipefail
cd "$(dirname "$(readlink -f "$0")")"
lock() { uv pip compile --quiet pyproject.toml --universal --python-version 3.11 --generate-hashes --custom-compile-command ./lock.sh "$@"; }

lock -o requirements.txt "$@"
for extra in test cuda tpu postgres web loggers sharing pretrained; do
    lock --extra $extra --constraint requirements.txt -o requirements-$extra.txt "$@"   # at the versions of requirements.txt
done
