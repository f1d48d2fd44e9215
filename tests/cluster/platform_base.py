"""A base image for two platforms, made of one that exists: pushed past the operator.

In: a repository with an image for linux/amd64. Out: an index whose second image says that it is for another platform. Its
programs are the same, so it runs on a node that only claims to be of that platform; the variable MARK tells which of both was
taken.
"""

import hashlib
import json
import urllib.request
from dataclasses import dataclass
from typing import Any

from tests.cluster.registry import Registry

Json = dict[str, Any]

_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
_INDEX = "application/vnd.oci.image.index.v1+json"
_LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pusher:
    """Writes to one repository of the open registry."""

    registry: Registry
    repo: str

    def index(self, source: str, platforms: list[Json]) -> str:
        """Push the image `source` (HOST/PATH:TAG) once for each platform, and an index; answers its reference."""
        manifests = [self._image(source, platform) for platform in platforms]
        self._put("manifests/latest", _INDEX, _json(_INDEX, manifests=manifests))
        return f"{self.registry.host}/{self.repo}:latest"

    def _image(self, source: str, platform: Json) -> Json:
        config = {**self.registry.config(source), **platform}
        inner = config["config"]
        env = [*(inner.get("Env") or []), f"MARK={platform['architecture']}"]
        blob = json.dumps({**config, "config": {**inner, "Env": env}}).encode()
        layers = self.registry.manifest(source)[1]["layers"]
        for layer in layers:
            self._mount(layer["digest"], source.partition("/")[2].rpartition(":")[0])
        manifest = _json(
            _MANIFEST,
            config=_descriptor("application/vnd.oci.image.config.v1+json", self._upload(blob)),
            layers=[{**layer, "mediaType": _LAYER} for layer in layers],
        )
        found = _descriptor(_MANIFEST, manifest)
        self._put(f"manifests/{found['digest']}", _MANIFEST, manifest)
        return {**found, "platform": platform}

    def _mount(self, digest: str, other: str) -> None:
        self._call("POST", f"blobs/uploads/?mount={digest}&from={other}", "", b"")

    def _upload(self, data: bytes) -> bytes:
        place = self._call("POST", "blobs/uploads/", "", b"")
        mark = "&" if "?" in place else "?"
        url = f"{place}{mark}digest={_digest(data)}"
        self._send(url, "PUT", "application/octet-stream", data)
        return data

    def _put(self, path: str, kind: str, data: bytes) -> None:
        self._call("PUT", path, kind, data)

    def _call(self, method: str, path: str, kind: str, data: bytes) -> str:
        return self._send(f"http://{self.registry.host}/v2/{self.repo}/{path}", method, kind, data)

    def _send(self, url: str, method: str, kind: str, data: bytes) -> str:
        place = url if url.startswith("http") else f"http://{self.registry.host}{url}"
        headers = {"Content-Type": kind} if kind else {}
        request = urllib.request.Request(place, data=data, headers=headers, method=method)  # noqa: S310
        with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310
            return str(answer.headers.get("Location", ""))


def _json(kind: str, **rest: object) -> bytes:
    return json.dumps({"schemaVersion": 2, "mediaType": kind, **rest}).encode()


def _descriptor(kind: str, data: bytes) -> Json:
    return {"mediaType": kind, "digest": _digest(data), "size": len(data)}


def _digest(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"
