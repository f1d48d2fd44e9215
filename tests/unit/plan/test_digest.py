"""The hashes against values computed by werf or asserted in its own tests."""

import hashlib

import pytest

from conveyor.config.model import GitMapping, Import
from conveyor.plan.answers import StageDigest
from conveyor.plan.digest import (
    content_digest,
    hashed,
    import_id,
    import_source_id,
    named,
    paramshash,
    sha3_args,
    sha256_args,
    stage_components,
    stage_digest,
)


def from_components(platform: str = "linux/amd64"):
    dependencies = hashed("StageDependencies", [named("Base", "alpine:3.18")])
    return stage_components(
        stage="from", dependencies=dependencies, previous=None, platform=platform
    )


def test_no_arguments_hash_the_empty_string():
    assert sha256_args() == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


def test_sha3_is_the_fips_one_with_56_digits():
    assert sha3_args("a", "b") == "79dd04f1b62d7ca1423b75bc1f7b37a2a8f2b79d7e2f56f549ecd632"


def test_surrogate_escaped_bytes_are_hashed_as_the_bytes():
    text = b"\xff\xfe".decode("utf-8", "surrogateescape")
    assert sha256_args(text) == hashlib.sha256(b"\xff\xfe").hexdigest()


def test_from_stage_and_its_content():
    digest = stage_digest(from_components())
    assert digest == "3dbd6d44689162ca0ebbdef149f0c467c9ba147c6e9a7759164efc0a"
    assert content_digest(stage="from", digest=digest, next_dependencies="") == (
        "096d09c2afe03c25c9ed1a6cd29f4308e4cc5c357b0c12c1ee258a24"
    )


def test_platform_is_hashed_unless_it_is_amd64():
    digest = stage_digest(from_components("linux/arm64"))
    assert digest == "88970e8ae133a58fdd339ae79a46677657d2a6db8c35e20d70ecb914"


def test_before_install_follows_from():
    previous = (StageDigest("3dbd6d44689162ca0ebbdef149f0c467c9ba147c6e9a7759164efc0a"), "")
    builder = hashed("BuilderChecksum", [named("c", "apk add curl"), named("c", "echo ok")])
    assert builder.value == "4065e302c6ab919f82175f5dc89ceafa5cdfe405584cc2a0d38c7356abffa314"
    digest = stage_digest(
        stage_components(stage="beforeInstall", dependencies=builder, previous=previous)
    )
    assert digest == "9054956cc20cf7c586993e3aba135748d48b81a9e21ace781a4872b1"
    assert content_digest(stage="beforeInstall", digest=digest, next_dependencies="") == (
        "a85014a2b04759ef281199f97a8285977482c9d1915a542b8f8f5c98"
    )


@pytest.mark.parametrize(
    ("mapping", "expected"),
    [
        (
            GitMapping(to="/app"),
            "69595bebc4fb0895aebaaf3d1d7a1fbfc3bad0380610b6910cd05e2bc52fc63d",
        ),
        (
            GitMapping(
                add="src",
                to="/app",
                include_paths=("a", "b"),
                exclude_paths=("c",),
                owner="app",
                group="app",
            ),
            "c0fae2c27b1949613e647da27cec706df48e5fa23f06cd7e7bbc0ffdc55d704d",
        ),
    ],
)
def test_paramshash(mapping, expected):
    assert paramshash(mapping) == expected


def test_paramshash_joins_lists_without_separator_as_werf_does():
    split = GitMapping(to="/x", include_paths=("a", "b"))
    joined = GitMapping(to="/x", include_paths=("ab",))
    assert paramshash(split) == paramshash(joined)


def test_import_ids():
    builder = Import(image="builder", after="install", add="/out", to="/out")
    assert import_id(builder) == "f3bee65dcc89b9ebef7c8487afeee5ad8aaf729c41713cf23199a22671723f26"
    filtered = Import(
        image="builder", after="install", add="/out", to="/out", include_paths=("a", "b")
    )
    assert import_source_id(filtered, "d1") == (
        "a0e6cc1e6009ff93919921daa18d71dc3aac921b018246906beb5406559c2157"
    )
