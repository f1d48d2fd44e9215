#!/bin/sh
# Resolve pyproject.toml into the two lock files: development, and the subset that runs in the image. The ansible layer has its own.
set -eu
cd "$(dirname "$0")/.."
.venv/bin/pip install --quiet pip-tools
compile() {
    .venv/bin/pip-compile --quiet --generate-hashes --no-emit-index-url --no-emit-find-links --no-emit-trusted-host \
        --no-header --strip-extras --allow-unsafe "$@" pyproject.toml
}
compile --extra dev -o requirements.lock
compile -c requirements.lock -o requirements-runtime.lock
.venv/bin/pip-compile --quiet --generate-hashes --no-emit-index-url --no-emit-find-links --no-emit-trusted-host \
    --no-header --strip-extras --allow-unsafe --no-annotate -o images/ansible/requirements.lock images/ansible/requirements.in
