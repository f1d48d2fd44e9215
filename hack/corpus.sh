#!/bin/bash
# corpus.sh compare [--update] [CASE...]: build the corpus of Dockerfiles with Conveyor and compare with what is recorded.
# corpus.sh record [--new] [--only=BUILDER] [CASE...]: record it, with BuildKit and Docker's legacy builder.
set -euo pipefail
cd "$(dirname "$0")/.."
what=$1
shift
if ! addresses=$(python3 hack/cluster.py env 2>&1); then
    printf '\ncorpus of Dockerfiles: not built, it needs the cluster with the operator (make install)\n%s\n' "$addresses"
    exit 0
fi
eval "$addresses"
export PYTHONPATH=$PWD/operator
case $what in
    compare) exec .venv/bin/python tests/corpus "$@" ;;
    record) exec .venv/bin/python tests/corpus/record.py "$@" ;;
    *) echo "corpus.sh compare|record" >&2 && exit 2 ;;
esac
