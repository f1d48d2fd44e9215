#!/bin/sh
# Build the operator's image and put it into the cluster's registry; prints the reference by digest.
# Wheels are fetched on this machine with its ordinary client and are kept until the lock changes.
set -eu
cd "$(dirname "$0")/.."
python=.venv/bin/python
wheels=build/wheels
lock=$(sha256sum requirements-runtime.lock | cut -c1-16)
if [ ! -e "$wheels/.$lock" ]; then
    rm -rf "$wheels"
    $python -m pip download --quiet --require-hashes --no-deps --only-binary=:all: \
        --python-version 3.11 --implementation cp --dest "$wheels" -r requirements-runtime.lock >&2
    touch "$wheels/.$lock"
fi
rm -rf build/dist
$python -m pip wheel --quiet --no-deps --wheel-dir build/dist . >&2
os_image=$(python3 hack/cluster.py os-image)
ansible_image=$(python3 hack/cluster.py ansible-image)
docker build --quiet --network host --build-arg "OS_IMAGE=$os_image" --build-arg "ANSIBLE_IMAGE=$ansible_image" -f images/operator/Dockerfile -t conveyor:dev . >&2
python3 hack/cluster.py load-image conveyor:dev
