#!/bin/bash
# The tour: build a small project from git, run the result, change a line and see what is built again.
set -euo pipefail
cd "$(dirname "$0")/.."
eval "$(python3 hack/cluster.py env)"
conveyor=.venv/bin/conveyor
namespace=demo name=first-light
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
say() { printf '\n\033[1m%s\033[0m\n' "$*"; }

commit() { # MESSAGE: commit everything in the work tree and push it
    git -C "$work" add --all
    git -C "$work" -c user.name=demo -c user.email=demo@example.com commit --quiet --allow-empty -m "$1"
    git -C "$work" push --quiet --force origin HEAD:main
    git -C "$work" rev-parse HEAD
}

apply() { # COMMIT
    sed -e "s|\${GIT_URL}|$CONVEYOR_GIT_URL/$name.git|" -e "s|\${COMMIT}|$1|" \
        -e "s|\${REPO}|$CONVEYOR_REGISTRY/demo/$name|" hack/demo/imagebuild.yaml |
        kubectl -n "$namespace" apply -f -
}

answer() { # IMAGE: run it and ask it
    kubectl -n "$namespace" delete pod site --ignore-not-found --now >/dev/null
    kubectl -n "$namespace" run site --image "$1" --port 8080 >/dev/null
    kubectl -n "$namespace" wait pod/site --for=condition=Ready --timeout=90s >/dev/null
    local page
    for page in index.html api/quotes; do
        printf '  GET /%-12s ' "$page"
        kubectl -n "$namespace" exec site -- busybox wget -qO- "http://127.0.0.1:8080/$page" |
            sed '2,$s/^/                    /'
    done
}

image() { kubectl -n "$namespace" get ib "$name" -o jsonpath="{.status.images[?(@.name=='$1')].ref}"; }
counts() {
    kubectl -n "$namespace" get ib "$name" \
        -o jsonpath='{.status.counts.total} stages: {.status.counts.cached} cached, {.status.counts.built} built{"\n"}'
}

say "1. A project in git: a stapel backend, a Dockerfile frontend, and a site that imports from both"
kubectl create namespace "$namespace" --dry-run=client -o yaml | kubectl apply -f - >/dev/null
kubectl label namespace "$namespace" --overwrite pod-security.kubernetes.io/enforce=baseline >/dev/null
python3 hack/cluster.py git-repo "$name" >/dev/null
cp -r hack/demo/project/. "$work/"
git -C "$work" init --quiet --initial-branch main
git -C "$work" remote add origin "$CONVEYOR_GIT_URL/$name.git"
first=$(commit "First light")
sed 's/^/  /' "$work/werf.yaml" | grep -E '^  (image|from|dockerfile|fromImage|- image):' || true

say "2. kubectl apply one ImageBuild, and watch its plan"
apply "$first"
"$conveyor" watch "$name" -n "$namespace" --timeout 600
counts

say "3. Run the image that was built"
answer "$(image site)"

say "4. Change a quote and the title, commit, build again: only what depends on them"
echo "A changed line builds few stages." >>"$work/backend/quotes.txt"
sed -i 's/TITLE: First light/TITLE: Second light/' "$work/werf.yaml"
second=$(commit "Second light")
apply "$second"
"$conveyor" watch "$name" -n "$namespace" --timeout 600
counts
answer "$(image site)"

say "Done. Look around: kubectl -n $namespace get ib,jobs; kubectl -n $namespace describe ib $name"
echo "  (export KUBECONFIG=$KUBECONFIG; delete everything with: make cluster-down)"
