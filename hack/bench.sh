#!/bin/bash
# Measure on the cluster of `make cluster`; prints one table (BENCH_RUNS=n, --only PART…, --write into docs/benchmarks.md).
set -euo pipefail
cd "$(dirname "$0")/.."
eval "$(python3 hack/cluster.py env)"
python=$PWD/.venv/bin/python
cd hack
exec "$python" -m bench.bench "$@"
