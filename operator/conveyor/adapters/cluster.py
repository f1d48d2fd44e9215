"""The Kubernetes API as dicts.

In: paths, names and bodies. Out: parsed JSON objects; `ApiError` with the server's own message otherwise.
One generic request serves every kind: the operator needs no typed models, and a dict costs half the CPU of one.
Configuration (in-cluster, kubeconfig, TLS, tokens that rotate) is the official client's.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from typing import Any, Final

import aiohttp
from kubernetes.aio import client, config

from conveyor.api import names

Json = dict[str, Any]

CORE: Final = "/api/v1"
JOBS: Final = "/apis/batch/v1"
LEASES: Final = "/apis/coordination.k8s.io/v1"
BUILDS: Final = f"/apis/{names.GROUP}/{names.VERSION}"

_MERGE: Final = "application/merge-patch+json"
_PATCH: Final = "application/json-patch+json"
_JSON: Final = "application/json"
_TIMEOUT: Final = 30.0
_WATCH_SECONDS: Final = 300


class ApiError(Exception):
    """The API server said no. `status` is the HTTP status, `reason` the machine word, `message` its sentence."""

    def __init__(self, status: int, reason: str, message: str) -> None:
        super().__init__(f"{status} {reason}: {message}")
        self.status = status
        self.reason = reason
        self.message = message


async def load_configuration() -> None:
    """Configure the client from the pod's service account, else from KUBECONFIG."""
    try:
        config.load_incluster_config()  # type: ignore[no-untyped-call]
    except config.ConfigException:
        await config.load_kube_config()  # type: ignore[no-untyped-call]


class Cluster:
    """Requests against one API server. Counts them, since API calls are what an operator costs a cluster."""

    def __init__(self, api: client.ApiClient) -> None:
        self._api = api
        self.calls = 0

    async def close(self) -> None:
        """Close the connections."""
        await self._api.close()  # type: ignore[no-untyped-call]

    async def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Json | list[Json] | None = None,
        content_type: str = _JSON,
    ) -> Json:
        """Send one request, return the parsed answer; raises ApiError, or aiohttp's errors on a broken line."""
        response = await self._send(method, path, query=query, body=body, content_type=content_type)
        async with response:
            data = await response.read()
            if response.status >= 400:
                raise _api_error(response.status, data)
            return json.loads(data) if data else {}

    async def text(self, path: str, *, query: Mapping[str, str]) -> str:
        """GET a text resource (a pod's log)."""
        response = await self._send("GET", path, query=query)
        async with response:
            data = await response.read()
            if response.status >= 400:
                raise _api_error(response.status, data)
            return data.decode("utf-8", "replace")

    async def _send(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Json | list[Json] | None = None,
        content_type: str = _JSON,
        timeout_seconds: float = _TIMEOUT,
    ) -> aiohttp.ClientResponse:
        self.calls += 1
        verb, url, headers, payload, form = await self._api.param_serialize(
            method,
            path,
            query_params=list((query or {}).items()),
            header_params={"Accept": _JSON, "Content-Type": content_type},
            body=body,
            auth_settings=["BearerToken"],
        )
        raw = await self._api.call_api(
            verb,
            url,
            headers,
            payload,
            form,
            _request_timeout=aiohttp.ClientTimeout(total=timeout_seconds, connect=10),
        )
        response: aiohttp.ClientResponse = raw.response
        return response

    async def get(self, prefix: str, plural: str, namespace: str, name: str) -> Json | None:
        """Return an object, None when there is none."""
        try:
            return await self.request("GET", _path(prefix, plural, namespace, name))
        except ApiError as error:
            if error.status == 404:
                return None
            raise

    async def list(
        self, prefix: str, plural: str, namespace: str = "", *, selector: str = "", field: str = ""
    ) -> tuple[list[Json], str]:
        """Return all objects (all pages) and the resource version of the list."""
        items: list[Json] = []
        query = {"limit": "500", "labelSelector": selector, "fieldSelector": field}
        query = {key: value for key, value in query.items() if value}
        while True:
            page = await self.request("GET", _path(prefix, plural, namespace), query=query)
            items += page.get("items") or []
            token = page["metadata"].get("continue")
            if not token:
                return items, str(page["metadata"].get("resourceVersion", ""))
            query["continue"] = token

    async def create(self, prefix: str, plural: str, namespace: str, body: Json) -> Json:
        """Create an object; ApiError 409 when the name is taken."""
        query = {"fieldManager": names.FIELD_MANAGER}
        return await self.request("POST", _path(prefix, plural, namespace), query=query, body=body)

    async def replace(
        self, prefix: str, plural: str, namespace: str, name: str, body: Json
    ) -> Json:
        """Replace an object; ApiError 409 when the body's resourceVersion is not the newest."""
        return await self.request("PUT", _path(prefix, plural, namespace, name), body=body)

    async def merge(self, prefix: str, plural: str, namespace: str, name: str, body: Json) -> None:
        """Merge-patch an object; nothing happens when it is gone."""
        try:
            path = _path(prefix, plural, namespace, name)
            await self.request("PATCH", path, body=body, content_type=_MERGE)
        except ApiError as error:
            if error.status != 404:
                raise

    async def put_status(
        self,
        prefix: str,
        plural: str,
        namespace: str,
        name: str,
        uid: str,
        status: Mapping[str, object],
    ) -> Json:
        """Replace the status as a whole, of this very object (uid), whatever its resourceVersion."""
        patch: list[Json] = [
            {"op": "test", "path": "/metadata/uid", "value": uid},
            {"op": "add", "path": "/status", "value": dict(status)},
        ]
        path = _path(prefix, plural, namespace, name) + "/status"
        query = {"fieldManager": names.FIELD_MANAGER}
        return await self.request("PATCH", path, query=query, body=patch, content_type=_PATCH)

    async def delete(
        self, prefix: str, plural: str, namespace: str, name: str, **preconditions: str
    ) -> bool:
        """Delete an object and, in the background, what it owns.

        Args:
            preconditions: `uid` and `resourceVersion` that it must have.

        Returns:
            False when it was gone or is another one by now.
        """
        body: Json = {"propagationPolicy": "Background"}
        if preconditions:
            body["preconditions"] = preconditions
        try:
            await self.request("DELETE", _path(prefix, plural, namespace, name), body=body)
        except ApiError as error:
            if error.status in (404, 409):
                return False
            raise
        return True

    async def watch(
        self, prefix: str, plural: str, namespace: str, *, selector: str, version: str
    ) -> AsyncIterator[Json]:
        """Yield watch events `{"type", "object"}` until the server ends the stream; ApiError 410 when too old."""
        query = {
            "watch": "true",
            "labelSelector": selector,
            "resourceVersion": version,
            "allowWatchBookmarks": "true",
            "timeoutSeconds": str(_WATCH_SECONDS),
        }
        path = _path(prefix, plural, namespace)
        response = await self._send("GET", path, query=query, timeout_seconds=_WATCH_SECONDS + 30.0)
        async with response:
            if response.status >= 400:
                raise _api_error(response.status, await response.read())
            async for line in response.content:
                event: Json = json.loads(line)
                if event.get("type") == "ERROR":
                    raise _api_error(int(event["object"].get("code", 500)), line)
                yield event


def _path(prefix: str, plural: str, namespace: str = "", name: str = "") -> str:
    scope = f"/namespaces/{namespace}" if namespace else ""
    return f"{prefix}{scope}/{plural}" + (f"/{name}" if name else "")


def _api_error(status: int, data: bytes) -> ApiError:
    try:
        body = json.loads(data)
        body = body.get("object", body)
    except (ValueError, AttributeError):
        body = {}
    message = body.get("message") or data[:300].decode("utf-8", "replace")
    return ApiError(status, str(body.get("reason", "")), str(message))


async def connect() -> Cluster:
    """Return a cluster connection configured as `load_configuration` says."""
    await load_configuration()
    await asyncio.sleep(0)
    return Cluster(client.ApiClient())
