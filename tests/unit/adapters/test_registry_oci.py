"""Image references, platforms, manifests."""

import json

import pytest

from conveyor.adapters.oci import (
    DOCKER_CONFIG,
    DOCKER_MANIFEST,
    OCI_CONFIG,
    OCI_INDEX,
    OCI_MANIFEST,
    Descriptor,
    ImageIndex,
    Manifest,
    Platform,
    new_manifest,
    parse_manifest,
)
from conveyor.adapters.oci_ref import ImageRef, OciFormatError, is_digest, sha256_digest

DIGEST = "sha256:" + "ab" * 32


@pytest.mark.parametrize(
    ("text", "name", "reference"),
    [
        ("ubuntu", "docker.io/library/ubuntu", "latest"),
        ("ubuntu:22.04", "docker.io/library/ubuntu", "22.04"),
        ("grafana/grafana", "docker.io/grafana/grafana", "latest"),
        ("docker.io/ubuntu", "docker.io/library/ubuntu", "latest"),
        ("index.docker.io/library/ubuntu", "docker.io/library/ubuntu", "latest"),
        ("localhost/app", "localhost/app", "latest"),
        ("localhost:5000/app:1", "localhost:5000/app", "1"),
        ("10.0.0.1:5000/a/b/c:x_y.z-1", "10.0.0.1:5000/a/b/c", "x_y.z-1"),
        ("[::1]:5000/app", "[::1]:5000/app", "latest"),
        ("ghcr.io/a/b__c-d.e", "ghcr.io/a/b__c-d.e", "latest"),
        (f"ghcr.io/a/b@{DIGEST}", "ghcr.io/a/b", DIGEST),
        (f"ghcr.io/a/b:1@{DIGEST}", "ghcr.io/a/b", DIGEST),
        ("Registry/app", "Registry/app", "latest"),
    ],
)
def test_references(text: str, name: str, reference: str) -> None:
    ref = ImageRef.parse(text)
    assert (ref.name, ref.reference) == (name, reference)
    assert ImageRef.parse(str(ref)) == ref


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("", "repository name"),
        ("Ubuntu", "lower-case"),
        ("ghcr.io/App", "lower-case"),
        ("ghcr.io/", "repository name"),
        ("ghcr.io/a//b", "repository name"),
        ("ghcr.io/a/../b", "repository name"),
        ("app:", "not a tag"),
        ("app:a b", "not a tag"),
        ("app:" + "x" * 129, "not a tag"),
        ("app@sha256:12", "not sha256"),
        ("app@md5:" + "a" * 32, "not sha256"),
        ("a b.example/x", "registry host"),
        ("host:99999999/x", "registry host"),
        ("ghcr.io/" + "a" * 256, "longer than 255"),
    ],
)
def test_bad_references_say_what_is_wrong(text: str, part: str) -> None:
    with pytest.raises(OciFormatError, match=part):
        ImageRef.parse(text)


def test_reference_to_tag_and_digest() -> None:
    ref = ImageRef.parse(f"ghcr.io/a/b:1@{DIGEST}")
    assert str(ref.with_tag("2")) == "ghcr.io/a/b:2"
    assert str(ref.with_digest(DIGEST)) == f"ghcr.io/a/b@{DIGEST}"


def test_digests() -> None:
    assert is_digest(sha256_digest(b""))
    assert not is_digest("sha256:" + "AB" * 32)
    assert not is_digest("sha256:" + "ab" * 32 + "\n")


def test_platforms() -> None:
    assert str(Platform.parse("linux/arm64/v8")) == "linux/arm64/v8"
    for text in ("linux", "linux/", "a/b/c/d", ""):
        with pytest.raises(OciFormatError):
            Platform.parse(text)


def descriptor(n: int, platform: str | None = None) -> Descriptor:
    return Descriptor(
        media_type="x",
        digest=sha256_digest(b"%d" % n),
        size=n,
        platform=Platform.parse(platform) if platform else None,
    )


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ("linux/amd64", 1),
        ("linux/arm64", 3),
        ("linux/arm64/v8", 3),
        ("linux/arm/v6", 4),
        ("linux/arm/v7", 5),
        ("linux/arm", 4),
        ("linux/arm/v5", None),
        ("windows/amd64", None),
    ],
)
def test_selection_by_platform(wanted: str, found: int | None) -> None:
    index = ImageIndex(
        raw=b"",
        media_type=OCI_INDEX,
        digest="",
        manifests=(
            descriptor(0, "unknown/unknown"),
            descriptor(1, "linux/amd64"),
            descriptor(2),
            descriptor(3, "linux/arm64/v8"),
            descriptor(4, "linux/arm/v6"),
            descriptor(5, "linux/arm/v7"),
        ),
    )
    chosen = index.select(Platform.parse(wanted))
    assert (chosen.size if chosen else None) == found


@pytest.mark.parametrize(
    ("config_type", "manifest_type"), [(OCI_CONFIG, OCI_MANIFEST), (DOCKER_CONFIG, DOCKER_MANIFEST)]
)
def test_a_new_manifest_is_read_back(config_type: str, manifest_type: str) -> None:
    config = Descriptor(media_type=config_type, digest=DIGEST, size=3)
    written = new_manifest(config, [descriptor(1), descriptor(2)])
    assert written.media_type == manifest_type
    assert parse_manifest(written.raw) == written


def test_docker_list_and_foreign_layers() -> None:
    layer = {"mediaType": "foreign", "digest": DIGEST, "size": 1, "urls": ["https://x"]}
    value = {"schemaVersion": 2, "config": descriptor(1).to_json(), "layers": [layer]}
    found = parse_manifest(json.dumps(value).encode(), f"{DOCKER_MANIFEST}; charset=utf-8")
    assert isinstance(found, Manifest)
    assert found.media_type == DOCKER_MANIFEST
    assert found.layers[0].urls == ("https://x",)


GOOD = {"schemaVersion": 2, "config": descriptor(1).to_json(), "layers": []}


@pytest.mark.parametrize(
    ("raw", "part"),
    [
        (b"<html>", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b"[]", "not a JSON object"),
        (b'{"schemaVersion": 1}', "schema version 1"),
        (json.dumps(GOOD | {"config": None}).encode(), "config is not"),
        (json.dumps(GOOD | {"layers": None}).encode(), "layers is not a list"),
        (json.dumps(GOOD | {"layers": [{}] * 5000}).encode(), "at most 4096"),
        (json.dumps(GOOD | {"config": {"digest": "x", "size": 1}}).encode(), "sha256 digest"),
        (json.dumps(GOOD | {"config": {"digest": DIGEST, "size": -1}}).encode(), "number of bytes"),
        (
            json.dumps(GOOD | {"config": {"digest": DIGEST, "size": True}}).encode(),
            "number of byte",
        ),
    ],
)
def test_bad_manifests(raw: bytes, part: str) -> None:
    with pytest.raises(OciFormatError, match=part):
        parse_manifest(raw)
