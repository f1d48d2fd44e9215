"""What is in the registry, read past the operator.

In: HOST:PORT of the open port. Out: tags, manifests and image configs.
"""

import json
import re
import urllib.error
import urllib.request
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

Json = dict[str, Any]

STAGE_TAG = re.compile(r"[0-9a-f]{56}-[0-9]{13}")
_MANIFESTS = (
    "application/vnd.oci.image.manifest.v1+json, "
    "application/vnd.docker.distribution.manifest.v2+json"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Registry:
    """A registry that speaks plain http to anybody."""

    host: str

    def tags(self, repo: str) -> list[str]:
        """Tags of a repository HOST:PORT/PATH; the port does not matter, all serve the same content."""
        try:
            answer = json.loads(self._get(f"{_path(repo)}/tags/list")[0])
        except urllib.error.HTTPError as error:
            if error.code == 404:
                return []
            raise
        return sorted(answer["tags"] or [])

    def stages(self, repo: str) -> dict[str, list[int]]:
        """Published stages: digest to the timestamps of its tags."""
        found: dict[str, list[int]] = {}
        for tag in self.tags(repo):
            if STAGE_TAG.fullmatch(tag):
                digest, _, time = tag.partition("-")
                found.setdefault(digest, []).append(int(time))
        return found

    def manifest(self, ref: str) -> tuple[str, Json]:
        """(digest, manifest) of REPO@DIGEST or REPO:TAG."""
        repo, name = _split(ref)
        body, digest = self._get(f"{_path(repo)}/manifests/{name}", _MANIFESTS)
        return digest, json.loads(body)

    def index(self, ref: str) -> tuple[str, Json]:
        """(digest, index) of REPO:TAG."""
        repo, name = _split(ref)
        accept = "application/vnd.oci.image.index.v1+json"
        body, digest = self._get(f"{_path(repo)}/manifests/{name}", accept)
        return digest, json.loads(body)

    def config(self, ref: str) -> Json:
        """The image config of REPO@DIGEST or REPO:TAG."""
        repo, _ = _split(ref)
        digest = self.manifest(ref)[1]["config"]["digest"]
        config: Json = json.loads(self._get(f"{_path(repo)}/blobs/{digest}")[0])
        return config

    def layers(self, ref: str) -> list[str]:
        """Digests of the layers."""
        return [str(layer["digest"]) for layer in self.manifest(ref)[1]["layers"]]

    def blob(self, ref: str, digest: str) -> bytes:
        """A blob of the repository of a reference."""
        return self._get(f"{_path(_split(ref)[0])}/blobs/{digest}")[0]

    def _get(self, path: str, accept: str = "*/*") -> tuple[bytes, str]:
        url = f"http://{self.host}/v2/{path}"
        request = urllib.request.Request(url, headers={"Accept": accept})
        with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310 - the same
            return answer.read(), answer.headers.get("Docker-Content-Digest", "")


def doubled(stages: dict[str, list[int]]) -> list[str]:
    """Digests that were published more than once."""
    return [digest for digest, times in stages.items() if len(times) > 1]


def refs(status: Json) -> dict[str, str]:
    """References by digest of the images of a status."""
    return {image["name"]: image["ref"] for image in _images(status) if "ref" in image}


def _images(status: Json) -> Iterable[Json]:
    images: list[Json] = status.get("images") or []
    return images


def _split(ref: str) -> tuple[str, str]:
    if "@" in ref:
        repo, _, name = ref.partition("@")
    else:
        repo, _, name = ref.rpartition(":")
    return repo, name


def _path(repo: str) -> str:
    return repo.partition("/")[2]
