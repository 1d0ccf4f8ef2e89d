#!/bin/sh
# Writes constraints.txt; versions that are locked already stay, unless --upgrade is given.
set -eu

.venv/bin/uv pip compile --quiet --python-version 3.11 --no-annotate --no-header --no-emit-index-url \
    --extra test --extra lint "$@" --output-file constraints.txt setup.cfg dev/requirements.in
echo "==> $(wc -l <constraints.txt) versions in constraints.txt"
