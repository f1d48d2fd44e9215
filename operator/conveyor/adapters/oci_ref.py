"""References to images: registry host, repository, tag, digest.

In: text as users and Dockerfiles write it. Out: `ImageRef`. No IO.
Source: the reference grammar and Docker Hub rules of distribution/reference.
"""

import hashlib
import re
from dataclasses import dataclass, replace
from typing import Final, Self

DOCKER_HUB: Final = "docker.io"
_HUB_ALIASES: Final = frozenset({"docker.io", "index.docker.io", "registry-1.docker.io"})

_COMPONENT: Final = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_REPOSITORY: Final = re.compile(rf"{_COMPONENT}(?:/{_COMPONENT})*")
_HOST: Final = re.compile(
    r"(?:\[[0-9a-fA-F:]+\]|[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?)(?::\d{1,5})?"
)
_TAG: Final = re.compile(r"\w[\w.-]{0,127}", re.ASCII)
_DIGEST: Final = re.compile(r"sha256:[0-9a-f]{64}")
_MAX_NAME: Final = 255


class OciFormatError(ValueError):
    """A reference, manifest or digest that does not follow the specification."""


def sha256_digest(data: bytes) -> str:
    """The digest of `data` in the spelling of registries, `sha256:<64 hex>`."""
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def is_digest(text: str) -> bool:
    """Whether `text` is a digest that this client can verify."""
    return _DIGEST.fullmatch(text) is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageRef:
    """Where an image is: registry host, repository, and a tag or digest or both or neither."""

    registry: str
    repository: str
    tag: str | None = None
    digest: str | None = None

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a reference as `docker pull` does: `ubuntu` is `docker.io/library/ubuntu`.

        Raises:
            OciFormatError: with the part that is wrong.
        """
        rest, _, digest = text.partition("@")
        if digest and not is_digest(digest):
            raise OciFormatError(f"image {text!r}: {digest!r} is not sha256:<64 hex digits>")
        name, tag = _split_tag(rest)
        if tag is not None and not _TAG.fullmatch(tag):
            raise OciFormatError(f"image {text!r}: {tag!r} is not a tag")
        registry, repository = _split_host(name)
        _check_name(text, registry, repository)
        return cls(registry=registry, repository=repository, tag=tag, digest=digest or None)

    @property
    def name(self) -> str:
        """Registry and repository without tag and digest."""
        return f"{self.registry}/{self.repository}"

    @property
    def reference(self) -> str:
        """What to ask the registry for: the digest, else the tag, else `latest`."""
        return self.digest or self.tag or "latest"

    def with_tag(self, tag: str) -> Self:
        """The same repository at a tag."""
        return replace(self, tag=tag, digest=None)

    def with_digest(self, digest: str) -> Self:
        """The same repository at a digest."""
        return replace(self, tag=None, digest=digest)

    def __str__(self) -> str:
        tag = f":{self.tag}" if self.tag else ""
        digest = f"@{self.digest}" if self.digest else ""
        return f"{self.name}{tag}{digest}"


def _split_tag(text: str) -> tuple[str, str | None]:
    head, colon, tail = text.rpartition(":")
    return (head, tail) if colon and "/" not in tail else (text, None)


def _split_host(name: str) -> tuple[str, str]:
    first, slash, rest = name.partition("/")
    is_host = slash and (
        "." in first or ":" in first or first == "localhost" or first != first.lower()
    )
    registry, repository = (first, rest) if is_host else (DOCKER_HUB, name)
    if registry in _HUB_ALIASES:
        registry = DOCKER_HUB
        repository = repository if "/" in repository else f"library/{repository}"
    return registry, repository


def _check_name(text: str, registry: str, repository: str) -> None:
    if not _HOST.fullmatch(registry):
        raise OciFormatError(f"image {text!r}: {registry!r} is not a registry host")
    if not _REPOSITORY.fullmatch(repository):
        hint = "; repository names are lower-case" if repository != repository.lower() else ""
        raise OciFormatError(f"image {text!r}: {repository!r} is not a repository name{hint}")
    if len(repository) > _MAX_NAME:
        raise OciFormatError(
            f"image {text[:80]!r}…: the name is longer than {_MAX_NAME} characters"
        )
