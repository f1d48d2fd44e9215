"""Names of platforms, and images whose names are those of another one's platforms."""

import pytest

from conveyor.api.errors import UserError
from conveyor.config.parse import parse
from conveyor.config.platforms import architecture_of, is_platform, machine_of, normal_platform

META = "project: p\nconfigVersion: 1\n---\n"


def platforms(text: str) -> list[tuple[str, ...]]:
    return [image.platforms for image in parse(META + text).images]


@pytest.mark.parametrize(
    ("written", "usual"),
    [
        ("linux/amd64", "linux/amd64"),
        ("linux/x86_64", "linux/amd64"),
        ("linux/amd64/v1", "linux/amd64"),
        ("linux/amd64/v2", "linux/amd64/v2"),
        ("linux/aarch64", "linux/arm64"),
        ("linux/arm64/v8", "linux/arm64"),
        ("linux/arm", "linux/arm/v7"),
        ("linux/arm/v6", "linux/arm/v6"),
        ("linux/armhf", "linux/arm/v7"),
        ("linux/armel", "linux/arm/v6"),
        ("linux/i386", "linux/386"),
        ("arm64", "linux/arm64"),
        ("Linux/S390X", "linux/s390x"),
    ],
)
def test_a_platform_has_one_spelling(written: str, usual: str) -> None:
    assert normal_platform(written) == usual
    assert normal_platform(usual) == usual


def test_machines_have_no_variant() -> None:
    assert machine_of("linux/arm/v7") == "linux/arm"
    assert machine_of("linux/arm64") == "linux/arm64"
    assert architecture_of("linux/arm/v7") == "arm"
    assert not is_platform("arm64")


def test_a_platform_that_is_named_twice_is_one() -> None:
    assert platforms(
        "image: app\nfrom: a:1\nplatform: [linux/arm64, linux/aarch64, linux/amd64]\n"
    ) == [("linux/arm64", "linux/amd64")]


def test_an_image_may_be_built_for_more_platforms_than_those_that_need_it() -> None:
    tool = "image: tool\nfrom: a:1\nplatform: [linux/amd64, linux/arm64/v8]\n---\n"
    app = "image: app\nfromImage: tool\nplatform: [linux/aarch64]\n"
    assert platforms(tool + app) == [("linux/amd64", "linux/arm64"), ("linux/arm64",)]


def test_a_name_that_is_that_of_a_platform_is_refused() -> None:
    app = "image: app\nfrom: a:1\nplatform: [linux/amd64, linux/arm64]\n---\n"
    with pytest.raises(UserError) as caught:
        parse(META + app + 'image: "app [linux/arm64]"\nfrom: a:1\n')
    assert 'werf.yaml:8: the name "app [linux/arm64]" is that of a platform' in caught.value.message
    assert (
        len(platforms('image: "app [linux/arm64]"\nfrom: a:1\n---\nimage: app\nfrom: a:1\n')) == 2
    )
