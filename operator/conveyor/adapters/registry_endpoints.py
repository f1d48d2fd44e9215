"""Which address a registry is spoken to at: mirrors, Docker Hub's real host, plain http. No IO.

In: a registry name from an image reference and the options. Out: endpoints in the order to try.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final
from urllib.parse import urlsplit

from conveyor.adapters.oci_ref import DOCKER_HUB, ImageRef

_HUB_API: Final = "registry-1.docker.io"


class EndpointError(ValueError):
    """An option that names no usable address."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistryOptions:
    """How registries are reached.

    Attributes:
        insecure: hosts (`host[:port]`) that may be spoken to without a verified certificate, or,
            when they do not speak TLS, over plain http; `host:*` for all ports of one.
        mirrors: registry → base URL asked first for pulls, `docker.io` → `http://10.0.0.1:5000`;
            a path in the URL is put before the repository.
        ca_file: PEM file with further certificate authorities.
        concurrency: requests at the same time.
        call_seconds: limit for one attempt of a call that carries no blob.
        transfer_seconds: limit for one attempt of a transfer of a blob.
        attempts: how often a call is tried in all.
    """

    insecure: frozenset[str] = frozenset()
    mirrors: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    ca_file: str | None = None
    concurrency: int = 16
    call_seconds: float = 60.0
    transfer_seconds: float = 3600.0
    attempts: int = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """One address of a registry.

    Attributes:
        registry: the name credentials are looked up by.
        host: `host[:port]` to connect to.
        scheme: `https`, `http`, or None: find out (host listed as insecure).
        prefix: goes before the repository, with its slash.
    """

    registry: str
    host: str
    scheme: str | None = "https"
    prefix: str = ""

    def repository(self, ref: ImageRef) -> str:
        """The repository's name at this address."""
        return f"{self.prefix}{ref.repository}"


def endpoint_of(registry: str, options: RegistryOptions) -> Endpoint:
    """The registry's own address; pushes go only there."""
    host = _HUB_API if registry == DOCKER_HUB else registry
    insecure = not options.insecure.isdisjoint((registry, f"{registry.rpartition(':')[0]}:*"))
    return Endpoint(registry=registry, host=host, scheme=None if insecure else "https")


def pull_endpoints(registry: str, options: RegistryOptions) -> tuple[Endpoint, ...]:
    """Where to pull from: the mirror if there is one, then the registry itself.

    Raises:
        EndpointError: the mirror is no http(s) URL.
    """
    own = endpoint_of(registry, options)
    mirror = options.mirrors.get(registry)
    return (own,) if mirror is None else (_mirror(registry, mirror), own)


def _mirror(registry: str, url: str) -> Endpoint:
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.username is not None:
        raise EndpointError(f"mirror of {registry}: {url!r} is not http(s)://host[:port][/path]")
    path = parts.path.strip("/")
    prefix = f"{path}/" if path else ""
    return Endpoint(registry=parts.netloc, host=parts.netloc, scheme=parts.scheme, prefix=prefix)
