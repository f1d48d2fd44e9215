"""Conformance cases of section 0: primitives of digests."""

import pytest

from conveyor.plan.digest import (
    hashed,
    named,
    sha3_args,
    sha256_args,
    stage_components,
    stage_digest,
)

ALPINE = "3dbd6d44689162ca0ebbdef149f0c467c9ba147c6e9a7759164efc0a"


def digest_of_from(platform: str) -> str:
    dependencies = hashed("StageDependencies", [named("Base", "alpine:3.18")])
    return stage_digest(
        stage_components(stage="from", dependencies=dependencies, previous=None, platform=platform)
    )


def test_case_0_1_digest_of_a_from_stage() -> None:
    assert sha3_args("1.2", "from", sha256_args("alpine:3.18")) == ALPINE
    assert digest_of_from("linux/amd64") == ALPINE
    assert len(ALPINE) == 56


@pytest.mark.parametrize(
    ("platform", "digest"),
    [
        ("linux/arm64", "88970e8ae133a58fdd339ae79a46677657d2a6db8c35e20d70ecb914"),
        ("linux/amd64", ALPINE),
    ],
)
def test_case_0_2_a_platform_is_hashed_unless_it_is_amd64(platform: str, digest: str) -> None:
    assert digest_of_from(platform) == digest


def test_case_0_3_werf_1_1_has_other_digests() -> None:
    old = "c51475ae6be9e355af1d5dbb5f3b10e4f79527b68f87a9aede99a3a8"
    assert sha3_args("1.1", "from", sha256_args("alpine:3.18")) == old
    assert digest_of_from("linux/amd64") != old
