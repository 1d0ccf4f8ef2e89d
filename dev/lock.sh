#!/bin/sh
# Writes the lock file of each tested Airflow version; locked versions stay unless --upgrade is given.
set -eu

# $1: the file, $2: the version range of Airflow, then options for uv.
lock() {
    file=$1
    airflow=$2
    shift 2
    # A new lock starts from the main one, so that they differ only where Airflow requires it.
    [ -e "$file" ] || cp constraints.txt "$file"
    echo "apache-airflow$airflow" |
        .venv/bin/uv pip compile --quiet --python-version 3.11 --no-annotate --no-header --no-emit-index-url \
            --extra test --extra lint "$@" --output-file "$file" setup.cfg dev/requirements.in -
    echo "==> $(wc -l <"$file") versions in $file, $(grep '^apache-airflow==' "$file")"
}

lock constraints.txt '==3.3.*' "$@"
lock dev/constraints-3.2.txt '==3.2.*' "$@"
