#!/bin/sh
# Installs missing system packages (the arguments) with apt-get as root; otherwise prints what to install.
set -eu

present() {
    case $1 in
    postgresql)
        command -v initdb >/dev/null 2>&1 && return
        for initdb in /usr/lib/postgresql/*/bin/initdb /usr/pgsql-*/bin/initdb /opt/homebrew/opt/postgresql*/bin/initdb; do
            [ -x "$initdb" ] && return
        done
        return 1
        ;;
    nginx-light) command -v nginx >/dev/null 2>&1 || [ -x /usr/sbin/nginx ] ;;
    docker-compose) command -v docker-compose >/dev/null 2>&1 || docker compose version >/dev/null 2>&1 ;;
    *-venv) return 1 ;; # only requested if the module is missing
    *) command -v "$1" >/dev/null 2>&1 ;;
    esac
}

missing=
for package in "$@"; do
    present "$package" || missing="$missing $package"
done
[ -n "$missing" ] || exit 0

if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null 2>&1; then
    echo "==> missing:$missing. Install it with your package manager (Debian, Ubuntu: sudo apt-get install$missing)" >&2
    exit 1
fi

echo "==> installing$missing (apt-get)" >&2
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
# shellcheck disable=SC2086 # one word per package
apt-get install -y -qq --no-install-recommends $missing >/dev/null
