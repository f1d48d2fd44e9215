#!/bin/bash
# The lanes that need more than Python: registry, capture and engine (Docker Engine), API server, cluster. `make test` runs the rest first.
set -euo pipefail
cd "$(dirname "$0")/.."
eval "$(python3 hack/cluster.py env)"
CONVEYOR_KUBERNETES=$(python3 hack/cluster.py binaries)
export CONVEYOR_KUBERNETES
# A test that waits for a real cluster may fail because the machine had no time for it. What failed is run once more, alone, and
# told; what fails again has failed.
lane() { # NAME PATH [PYTEST OPTIONS]
    local started=$SECONDS name=$1 code=0
    shift
    printf '\n\033[1m%s\033[0m\n' "$name"
    rm -rf build/pytest
    .venv/bin/pytest -q -o cache_dir=build/pytest "$@" || code=$?
    if [ "$code" = 1 ]; then
        echo "$name: once more, what failed"
        .venv/bin/pytest -q -o cache_dir=build/pytest "$@" --last-failed --last-failed-no-failures none -n 0
        echo "$name: passed at the second try, see above"
    elif [ "$code" != 0 ]; then
        exit "$code"
    fi
    echo "$name: $((SECONDS - started)) s"
}
lane "registry: client and courier against a real registry and git server" tests/registry
lane "api: CRD, CEL and chart against a real API server" tests/api
lane "capture: the snapshot tool against Docker Engine" tests/capture
lane "engine: conveyor build with Docker Engine and a registry" tests/engine
lane "cluster: end to end" tests/cluster -n "${CONVEYOR_E2E_WORKERS:-4}" -m "not kills" \
    --ignore tests/cluster/test_election.py --ignore tests/cluster/test_platforms.py
lane "corpus: Dockerfiles beside BuildKit and the legacy builder" tests/corpus
lane "cluster: the operator is killed" tests/cluster -n 2 -m kills
lane "cluster: two operators" tests/cluster/test_election.py
lane "cluster: a node of another platform" tests/cluster/test_platforms.py
# Last, for it makes the cluster anew: the operator is gone then.
lane "ground: the cluster is damaged and brought back" tests/ground
