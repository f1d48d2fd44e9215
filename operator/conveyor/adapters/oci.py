"""OCI image values: descriptors, manifests, indexes.

In: the bytes of a manifest. Out: frozen values; a manifest keeps its raw bytes, for its digest is
the hash of exactly those. Knows no registry and does no IO.
Source: OCI image-spec 1.1 (descriptor, manifest, image-index).
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final, Self

from conveyor.adapters.oci_ref import OciFormatError, is_digest, sha256_digest

OCI_MANIFEST: Final = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX: Final = "application/vnd.oci.image.index.v1+json"
OCI_CONFIG: Final = "application/vnd.oci.image.config.v1+json"
OCI_LAYER_GZIP: Final = "application/vnd.oci.image.layer.v1.tar+gzip"
DOCKER_MANIFEST: Final = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_LIST: Final = "application/vnd.docker.distribution.manifest.list.v2+json"
DOCKER_CONFIG: Final = "application/vnd.docker.container.image.v1+json"
DOCKER_LAYER_GZIP: Final = "application/vnd.docker.image.rootfs.diff.tar.gzip"
MANIFEST_TYPES: Final = (OCI_MANIFEST, OCI_INDEX, DOCKER_MANIFEST, DOCKER_LIST)

_MAX_DESCRIPTORS: Final = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class Platform:
    """Operating system, architecture and variant of an image, `linux/arm64/v8`."""

    os: str
    architecture: str
    variant: str | None = None

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `os/architecture[/variant]`.

        Raises:
            OciFormatError: for anything else.
        """
        parts = text.split("/")
        if not 2 <= len(parts) <= 3 or not all(parts):
            raise OciFormatError(f"platform {text!r} is not os/architecture[/variant]")
        return cls(
            os=parts[0], architecture=parts[1], variant=parts[2] if len(parts) == 3 else None
        )

    def to_json(self) -> dict[str, str]:
        """The platform as it stands in an index."""
        variant = {"variant": self.variant} if self.variant else {}
        return {"architecture": self.architecture, "os": self.os, **variant}

    def __str__(self) -> str:
        return "/".join(filter(None, (self.os, self.architecture, self.variant)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Descriptor:
    """Points at a blob or manifest: media type, digest, size in bytes."""

    media_type: str
    digest: str
    size: int
    platform: Platform | None = None
    urls: tuple[str, ...] = ()

    def to_json(self) -> dict[str, object]:
        """The descriptor as it stands in a manifest or an index."""
        plain = {"mediaType": self.media_type, "digest": self.digest, "size": self.size}
        return plain | ({"platform": self.platform.to_json()} if self.platform else {})


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """One platform's image: a config and its layers, lowest first."""

    raw: bytes = field(repr=False)
    media_type: str
    digest: str
    config: Descriptor
    layers: tuple[Descriptor, ...]
    annotations: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageIndex:
    """An image for several platforms: descriptors of manifests."""

    raw: bytes = field(repr=False)
    media_type: str
    digest: str
    manifests: tuple[Descriptor, ...]

    def select(self, platform: Platform) -> Descriptor | None:
        """The first manifest for `platform`; a variant left out on either side matches any."""
        found = [d for d in self.manifests if d.platform and _same_machine(d.platform, platform)]
        exact = [d for d in found if d.platform == platform]
        return next(iter(exact or found), None)


def _same_machine(have: Platform, want: Platform) -> bool:
    variants = have.variant == want.variant or None in (have.variant, want.variant)
    return (have.os, have.architecture) == (want.os, want.architecture) and variants


def new_manifest(config: Descriptor, layers: Sequence[Descriptor]) -> Manifest:
    """Write the manifest of a config and its layers; Docker's types if the config has Docker's."""
    docker = config.media_type == DOCKER_CONFIG
    media_type = DOCKER_MANIFEST if docker else OCI_MANIFEST
    value = {
        "schemaVersion": 2,
        "mediaType": media_type,
        "config": config.to_json(),
        "layers": [layer.to_json() for layer in layers],
    }
    raw = json.dumps(value, separators=(",", ":")).encode()
    return Manifest(
        raw=raw,
        media_type=media_type,
        digest=sha256_digest(raw),
        config=config,
        layers=tuple(layers),
    )


def new_index(manifests: Sequence[Descriptor]) -> ImageIndex:
    """Write the index of images, each with its platform, in the given order."""
    value = {
        "schemaVersion": 2,
        "mediaType": OCI_INDEX,
        "manifests": [manifest.to_json() for manifest in manifests],
    }
    raw = json.dumps(value, separators=(",", ":")).encode()
    return ImageIndex(
        raw=raw, media_type=OCI_INDEX, digest=sha256_digest(raw), manifests=tuple(manifests)
    )


def parse_manifest(raw: bytes, content_type: str = "") -> Manifest | ImageIndex:
    """Read what a registry answered to GET manifest.

    Args:
        raw: the body, unchanged.
        content_type: the reply's Content-Type; used when the body names no mediaType.

    Raises:
        OciFormatError: not a manifest, or of the long deprecated schema 1.
    """
    value = _object(_json(raw), "manifest")
    media_type = value.get("mediaType") or content_type.partition(";")[0].strip()
    if value.get("schemaVersion") != 2:
        raise OciFormatError(
            "the manifest has schema version 1, which is not supported: push the image again"
        )
    if not isinstance(media_type, str):
        raise OciFormatError("the manifest's mediaType is not a string")
    digest = sha256_digest(raw)
    if "manifests" in value:
        items = _descriptors(value["manifests"], "manifests")
        return ImageIndex(
            raw=raw, media_type=media_type or OCI_INDEX, digest=digest, manifests=items
        )
    return Manifest(
        raw=raw,
        media_type=media_type or OCI_MANIFEST,
        digest=digest,
        config=_descriptor(value.get("config"), "config"),
        layers=_descriptors(value.get("layers"), "layers"),
        annotations=_strings(value.get("annotations")),
    )


def _json(raw: bytes) -> object:
    try:
        value: object = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise OciFormatError(f"not JSON: {error}") from None
    return value


def _object(value: object, what: str) -> Mapping[str, object]:
    if not isinstance(value, dict):
        raise OciFormatError(f"{what} is not a JSON object")
    return value


def _strings(value: object) -> Mapping[str, str]:
    pairs = value.items() if isinstance(value, dict) else ()
    return MappingProxyType({k: v for k, v in pairs if isinstance(v, str)})


def _descriptors(value: object, what: str) -> tuple[Descriptor, ...]:
    if not isinstance(value, list) or len(value) > _MAX_DESCRIPTORS:
        raise OciFormatError(f"{what} is not a list of at most {_MAX_DESCRIPTORS} descriptors")
    return tuple(_descriptor(item, f"{what}[{i}]") for i, item in enumerate(value))


def _descriptor(value: object, what: str) -> Descriptor:
    item = _object(value, what)
    media_type, digest, size = item.get("mediaType", ""), item.get("digest"), item.get("size")
    if not isinstance(media_type, str) or not isinstance(digest, str) or not is_digest(digest):
        raise OciFormatError(f"{what} has no mediaType or no sha256 digest")
    if not isinstance(size, int) or isinstance(size, bool) or size < 0:
        raise OciFormatError(f"{what}.size is not a number of bytes")
    urls = item.get("urls")
    return Descriptor(
        media_type=media_type,
        digest=digest,
        size=size,
        platform=_platform(item.get("platform")),
        urls=tuple(u for u in urls if isinstance(u, str)) if isinstance(urls, list) else (),
    )


def _platform(value: object) -> Platform | None:
    item = _strings(value)
    if "os" not in item or "architecture" not in item:
        return None
    return Platform(os=item["os"], architecture=item["architecture"], variant=item.get("variant"))
