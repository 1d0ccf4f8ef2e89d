#!/bin/sh
# Prints the interpreter to use: $PYTHON, or the first of python3, python3.11 … that Airflow and the lock support.
set -eu

supported() {
    "$1" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null
}

version() {
    "$1" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null || echo missing
}

for candidate in ${PYTHON:-python3 python3.11 python3.12 python3.13}; do
    if supported "$candidate"; then
        echo "$candidate"
        exit 0
    fi
done

first=${PYTHON:-python3}
echo "Python 3.11 to 3.13 is needed, $first is $(version "$first"): install one, or name it with PYTHON=…" >&2
exit 1
