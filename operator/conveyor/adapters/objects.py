"""Secrets and ConfigMaps that an ImageBuild names.

In: namespace and name. Out: their data as text. A missing object or a missing right is the user's to mend, so both are
UserErrors that say what to do. The operator reads Secrets only where the ClusterRole `conveyor-credentials` is bound.
"""

import base64
from collections.abc import Mapping
from typing import Any

from conveyor.adapters.cluster import CORE, ApiError
from conveyor.adapters.objects_api import ObjectsApi
from conveyor.api.errors import UserError
from conveyor.api.names import Reason

Json = dict[str, Any]


async def read_secret(cluster: ObjectsApi, namespace: str, name: str) -> Mapping[str, str]:
    """Return a Secret's data, decoded.

    Raises:
        UserError: SecretNotFound or SecretNotReadable.
    """
    data = await read_secret_bytes(cluster, namespace, name)
    return {key: value.decode("utf-8", "replace") for key, value in data.items()}


async def read_secret_bytes(cluster: ObjectsApi, namespace: str, name: str) -> Mapping[str, bytes]:
    """Return a Secret's data as it is. Raises as `read_secret`."""
    found = await _read(cluster, "secrets", namespace, name)
    return {key: base64.b64decode(value) for key, value in (found.get("data") or {}).items()}


async def read_config_map(cluster: ObjectsApi, namespace: str, name: str, key: str) -> str:
    """Return one key of a ConfigMap.

    Raises:
        UserError: SecretNotFound when the ConfigMap or the key is not there.
    """
    found = await _read(cluster, "configmaps", namespace, name)
    data: Mapping[str, str] = found.get("data") or {}
    if key not in data:
        have = ", ".join(sorted(data)) or "none"
        raise UserError(
            Reason.SECRET_NOT_FOUND,
            f"ConfigMap {namespace}/{name} has no key {key!r}; its keys: {have}",
        )
    return data[key]


async def _read(cluster: ObjectsApi, plural: str, namespace: str, name: str) -> Json:
    kind = {"secrets": "Secret", "configmaps": "ConfigMap"}[plural]
    try:
        found = await cluster.get(CORE, plural, namespace, name)
    except ApiError as error:
        if error.status != 403:
            raise
        raise UserError(
            Reason.SECRET_NOT_READABLE,
            f"the operator may not read {kind} {namespace}/{name}; allow it with: "
            f"kubectl create rolebinding conveyor-credentials --namespace {namespace} "
            "--clusterrole conveyor-credentials --serviceaccount OPERATOR_NAMESPACE:conveyor",
        ) from None
    if found is None:
        raise UserError(Reason.SECRET_NOT_FOUND, f"there is no {kind} {namespace}/{name}")
    return found


def ca_config_map(
    name: str, namespace: str, owner: Mapping[str, object], labels: Mapping[str, str], pem: str
) -> dict[str, object]:
    """The ConfigMap by which build pods get the CA bundle."""
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {
            "name": name,
            "namespace": namespace,
            "labels": dict(labels),
            "ownerReferences": [dict(owner)],
        },
        "data": {"ca.crt": pem},
    }
