#!/bin/bash
# Build the operator's image and helm install or upgrade it on the cluster of `make cluster`.
set -euo pipefail
cd "$(dirname "$0")/.."
eval "$(python3 hack/cluster.py env)"
started=$SECONDS
# A control plane that was just started again may still drop connections: go on when it has answered five times in a row.
steady() {
    local good=0
    for _ in $(seq 120); do
        if kubectl get --raw /readyz >/dev/null 2>&1; then good=$((good + 1)); else good=0; fi
        [ "$good" -ge 5 ] && return 0
        sleep 0.5
    done
    echo "the API server does not answer steadily" >&2
    return 1
}
echo "· building the operator's image"
image=$(hack/image.sh | tail -1)
digest=$(skopeo inspect --no-tags --tls-verify=false --format '{{.Digest}}' "docker://$image")
steady
for name in default demo; do
    kubectl get namespace "$name" >/dev/null 2>&1 || kubectl create namespace "$name" >/dev/null
done
git=${CONVEYOR_GIT_URL#*://} git=${git%%/*}
# The nodes are all of one architecture; a test labels one of them arm64, and its stages run our own programs there too.
echo "· helm upgrade --install conveyor (${image%:*}@${digest:0:19}…)"
helm upgrade --install conveyor charts/conveyor --namespace conveyor-system --create-namespace --wait --timeout 3m \
    --set image.repository="${image%:*}" --set image.digest="$digest" \
    --set "registry.insecure={$CONVEYOR_REGISTRY,$CONVEYOR_REGISTRY_AUTH,$CONVEYOR_REGISTRY_READONLY}" \
    --set "registry.mirrors.docker\.io=http://$CONVEYOR_REGISTRY" \
    --set caBundle.pem="${CONVEYOR_CA_PEM:-}" \
    --set credentialNamespaces="{default,demo}" \
    --set-json 'mounts.fromPaths={"/srv/conveyor-e2e": {"persistentVolumeClaim": {"claimName": "conveyor-e2e"}},
        "/srv/conveyor-e2e-host": {"hostPath": {"path": "/var/tmp/conveyor-e2e", "type": "DirectoryOrCreate"}}}' \
    --set-json "addRemote.privateHosts=[\"$git\"]" \
    --set-json 'tools.platforms={"linux/arm64": {"path": "/usr/share/conveyor/tools"}}' \
    "$@" >build/helm.log 2>&1 || { tail -20 build/helm.log >&2; exit 1; }
# A pod that has no past: the tests take an operator that ended before for one that crashed.
kubectl -n conveyor-system rollout restart deployment/conveyor >/dev/null
kubectl -n conveyor-system rollout status deployment/conveyor --timeout 120s >/dev/null
echo "· installed in $((SECONDS - started)) s"
