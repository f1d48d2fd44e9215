#!/bin/sh
# Make .venv from the lock file. Debian and Ubuntu get what is missing by apt; elsewhere it says what to install.
set -eu
cd "$(dirname "$0")/.."
find_python() {
    for name in python3.11 python3.12 python3.13 python3; do
        if command -v "$name" >/dev/null && "$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
            echo "$name"
            return 0
        fi
    done
    return 1
}
usable() { python=$(find_python) && "$python" -c 'import ensurepip, venv' 2>/dev/null; }
if ! usable; then
    if command -v apt-get >/dev/null && [ "$(id -u)" = 0 ]; then
        echo "· installing python3 python3-venv python3-pip"
        apt-get update -qq
        DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends python3 python3-venv python3-pip >/dev/null
    fi
    usable || { echo "Python >= 3.11 with the venv module is needed: install python3 and python3-venv" >&2; exit 2; }
fi
echo "· the Python environment (.venv), from requirements.lock"
"$python" -m venv .venv
.venv/bin/pip install --quiet --require-hashes -r requirements.lock
.venv/bin/pip install --quiet --no-deps --editable .
