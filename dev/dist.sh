#!/bin/sh
# Builds an sdist and from it a wheel in $2 (dist), from the files that git tracks, with the environment in $1.
set -eu

venv=$1
out=${2:-dist}

mkdir -p "$out"
out=$(cd "$out" && pwd)
rm -f "$out"/*.whl "$out"/*.tar.gz

# Builds outside the checkout, so that no untracked file gets in and no build file is left behind.
source=$(mktemp -d)
trap 'rm -rf "$source"' EXIT
git ls-files -z | tar --null -T - -cf - | tar -xf - -C "$source"

# Reproducible builds: the same commit gives the same bytes.
SOURCE_DATE_EPOCH=$(git log -1 --format=%ct)
export SOURCE_DATE_EPOCH
[ ! -e /etc/ssl/certs/ca-certificates.crt ] || export UV_SYSTEM_CERTS=true
"$venv/bin/uv" build --quiet --python "$venv/bin/python" --build-constraints constraints.txt --out-dir "$out" "$source"
ls "$out"/*.whl "$out"/*.tar.gz
