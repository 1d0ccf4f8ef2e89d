#!/bin/sh
# Creates the environment in $1, or updates it to setup.cfg and the lock in $2 (constraints.txt).
set -eu

venv=$1
lock=${2:-constraints.txt}
needed_kb=1500000

say() {
    printf '==> %s\n' "$*" >&2
}

fail() {
    say "$*"
    exit 1
}

free_kb() {
    df -Pk "$1" | awk 'NR == 2 { print $4 }'
}

check_space() {
    free=$(free_kb .)
    [ "$free" -ge "$needed_kb" ] ||
        fail "the disk is full: $((free / 1024)) MB are free here, the environment needs $((needed_kb / 1024)) MB"
}

# Debian and Ubuntu ship Python without the venv module.
check_venv_module() {
    "$python" -c 'import ensurepip, venv' 2>/dev/null && return
    package=$("$python" -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])')
    sh dev/install_system.sh "$package"
    "$python" -c 'import ensurepip, venv' 2>/dev/null || fail "$python cannot make environments: its venv module is missing"
}

# An environment of another folder, of a removed Python, or an incomplete one is not usable.
usable() {
    [ "$(cat "$venv/checkout" 2>/dev/null)" = "$(pwd)" ] && "$venv/bin/python" -m pip --version >/dev/null 2>&1
}

create() {
    python=$(sh dev/python.sh)
    check_venv_module
    say "creating an environment in $venv with $("$python" --version)"
    rm -rf "$venv"
    "$python" -m venv "$venv"
    pwd >"$venv/checkout"
}

# Runs "$2" … and drops output lines that match $1; returns the command's status, not the pipe's.
without_lines() {
    pattern=$1
    shift
    { "$@" 2>&1 && echo 0 >"$venv/status" || echo 1 >"$venv/status"; } |
        awk -v pattern="$pattern" '$0 !~ pattern { print; fflush() }'
    return "$(cat "$venv/status")"
}

with_uv() {
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check -c "$lock" uv || return
    export VIRTUAL_ENV="$PWD/$venv" UV_PYTHON_DOWNLOADS=never
    # uv has its own certificates, which lack those of a company proxy.
    [ ! -e /etc/ssl/certs/ca-certificates.crt ] || export UV_SYSTEM_CERTS=true
    without_lines '^ [-+~] ' "$venv/bin/uv" pip install -c "$lock" -e '.[test,lint]'
}

with_pip() {
    without_lines '^  |^(Requirement already|Installing collected|Successfully)' \
        "$venv/bin/python" -m pip install --disable-pip-version-check -c "$lock" -e '.[test,lint]'
}

install_packages() {
    say "installing Airflow and the tools (about a minute the first time)"
    with_uv && return
    say "uv could not install them, trying pip (several minutes)"
    with_pip && return
    [ "$(free_kb .)" -ge 50000 ] || fail "the disk is full: free some space and run make again"
    fail "the packages could not be installed: see above, and run make again"
}

check_space
usable || create
install_packages
# With this record and the environment's own one, Airflow would find the plugin twice.
rm -rf plugins/*.egg-info
pwd >"$venv/installed"
