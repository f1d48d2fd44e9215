"""Meta section, classification, names, relations: everything about the file as a whole."""

from typing import Any

import pytest

from conveyor.api.errors import UserError
from conveyor.config.model import DockerfileImage, Meta, StapelImage
from conveyor.config.parse import parse
from conveyor.config.relations import find_cycle, related

META = "configVersion: 1\nproject: shop\n---\n"


def _error(text: str) -> Any:
    with pytest.raises(UserError) as raised:
        parse(text)
    return raised.value


def test_two_documents_are_one_image_and_empty_ones_change_nothing() -> None:
    config = parse(META + "image: x\nfrom: alpine\n")
    assert config == parse(
        "# first\n---\n" + META + "# c\n---\nimage: x\nfrom: alpine\n---\n# c\n---\n"
    )
    assert config.meta == Meta(project="shop")
    assert [image.name for image in config.images] == ["x"]
    assert config.image("x").at.line == 4


def test_order_of_documents_is_free_and_order_of_images_is_kept() -> None:
    config = parse("image: b\nfrom: a\n---\nimage: a\ndockerfile: D\n---\n" + META)
    assert [type(image) for image in config.images] == [StapelImage, DockerfileImage]
    assert [image.name for image in config.images] == ["b", "a"]


def test_meta() -> None:
    text = (
        "configVersion: 1\nproject: 0\n"
        "build: {platform: [linux/arm64, linux/arm/v7], cacheVersion: 1.10, staged: yes}\n"
        "gitWorktree: {allowUnshallow: false}\ndeploy: {namespace: x}\ncleanup: {anything: y}\n"
    )
    assert parse(text).meta == Meta(
        project="0", cache_version="1.10", platforms=("linux/arm64", "linux/arm/v7"), staged=True
    )


@pytest.mark.parametrize("name", ["a", "a-b", "0a", "a" * 50])
def test_project_names(name: str) -> None:
    assert parse(f"configVersion: 1\nproject: {name}").meta.project == name


@pytest.mark.parametrize("name", ["A", "a_b", "-a", "a-", "a.b", "a" * 51, '""', "[a]"])
def test_wrong_project_names(name: str) -> None:
    assert "werf.yaml:2: `project`" in _error(f"configVersion: 1\nproject: {name}").message


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "werf.yaml: the meta section is missing"),
        (
            "configVersion: one\nproject: a",
            'werf.yaml:1: `configVersion` is "one"; write the number 1',
        ),
        ("configVersion: true\nproject: a", "the boolean true in YAML; write the number 1"),
        ("configVersion: [1]\nproject: a", "`configVersion` is a list; write the number 1"),
        ("configVersion: 1\nproject: a\nbuild: x", 'werf.yaml:3: `build` is "x"; write a mapping'),
        ("configVersion: 1\nproject: a\nbuild: {platform: [arm]}", "write os/architecture"),
        (
            "configVersion: 1\nproject: a\nprojekt: b",
            "unknown field `projekt`; did you mean `project`?",
        ),
        (
            "configVersion: 1\nproject: a\ngitWorktree: {shallow: 1}",
            "gitWorktree: unknown field `shallow`",
        ),
    ],
)
def test_meta_mistakes(text: str, said: str) -> None:
    assert said in _error(text).message


def test_defaults_of_the_meta_section_reach_images() -> None:
    config = parse(
        "configVersion: 1\nproject: p\nbuild: {platform: [linux/arm64], cacheVersion: v1, staged: true}\n"
        "---\nimage: a\nfrom: x\n---\nimage: b\nfrom: x\ncacheVersion: v2\nplatform: [linux/s390x]\n"
        "---\nimage: c\ndockerfile: D\n---\nimage: d\ndockerfile: D\nstaged: false\n"
    )
    images: Any = config.images
    a, b, c, d = images
    assert (a.platforms, a.cache_version) == (("linux/arm64",), "v1")
    assert (b.platforms, b.cache_version) == (("linux/s390x",), "v2")
    assert (c.staged, d.staged) == (True, False)


def test_several_names_share_a_body() -> None:
    images: Any = parse(META + "image: [a, b]\nfrom: x\nshell: {install: make}\n").images
    a, b = images
    assert (a.name, b.name) == ("a", "b")
    assert a.shell == b.shell


def test_nameless_alone_is_fine_also_beside_images_that_are_not_final() -> None:
    config = parse(
        META
        + "image: ~\nfrom: x\n---\nimage: b\nfrom: x\nfinal: false\n---\nartifact: c\nfrom: x\n"
    )
    assert [image.name for image in config.images] == ["", "b", "c"]
    assert [image.final for image in config.images] == [True, False, False]


@pytest.mark.parametrize(
    "name", ['""', '"a\\nb"', "x" * 300, "{a: b}", "1.5", "off", "[]", "[[a]]", "[~]"]
)
def test_impossible_names(name: str) -> None:
    assert _error(META + f"image: {name}\nfrom: x\n").reason == "InvalidWerfConfig"


def test_file_and_project_dir_are_passed_on() -> None:
    config = parse(META + "image: a\nfrom: x\n", file="ci/werf.yaml", project_dir="ci")
    assert config.project_dir == "ci"
    assert str(config.image("a").at) == "ci/werf.yaml:4"
    with pytest.raises(UserError, match=r"\Aci/werf.yaml:2: "):
        parse("image: [a", file="ci/werf.yaml")


def test_not_supported_gives_way_to_mistakes() -> None:
    text = META + "image: a\nfrom: x\nsecrets: [{id: a, value: b}]\n"
    assert _error(text).reason == "NotSupported"
    assert _error(text + "shell: [a]\n").reason == "InvalidWerfConfig"


def test_text_and_images_are_limited() -> None:
    assert "characters" in _error("#" * 8_000_001).message
    names = ",".join(f"i{number}" for number in range(5001))
    assert "describes 5001 images" in _error(META + f"image: [{names}]\nfrom: x\n").message


def test_cycle_of_one_and_through_imports() -> None:
    assert "a -> a" in _error(META + "image: a\nfromImage: a\n").message
    text = META + "".join(
        f"image: {one}\nfrom: x\nimport:\n- {{image: {other}, add: /x, before: setup}}\n---\n"
        for one, other in (("a", "b"), ("b", "a"))
    )
    assert "a -> b -> a" in _error(text).message


@pytest.mark.parametrize(
    ("graph", "cycle"),
    [
        ({}, ()),
        ({"a": ("b", "c"), "b": ("c",), "c": ()}, ()),
        ({"a": ("b",), "b": ("c",), "c": ("b",)}, ("b", "c", "b")),
        ({"a": ("a",)}, ("a", "a")),
        ({"a": ("b", "c"), "b": (), "c": ("d",), "d": ("a",)}, ("a", "c", "d", "a")),
        ({"": ("b",), "b": ("",)}, ("", "b", "")),
    ],
)
def test_find_cycle(graph: Any, cycle: Any) -> None:
    assert find_cycle(graph) == cycle


def test_find_cycle_in_a_long_chain() -> None:
    graph = {str(number): (str(number + 1),) for number in range(5000)}
    assert find_cycle(graph) == ()


def test_related_images_in_order() -> None:
    config = parse(
        META + "image: a\nfrom: x\n---\nimage: b\nfrom: x\n---\nartifact: t\nfrom: x\n---\n"
        "image: c\nfrom: b\nimport:\n- {artifact: t, add: /x, after: setup}\n"
        "- {image: 'r.io/x:1', add: /x, to: /z, after: setup}\n"
        "dependencies:\n- {image: a, after: setup, imports: []}\n- {image: b, after: setup}\n"
    )
    assert related(config.image("c")) == ("b", "t", "a")


def test_messages_stay_short_and_on_one_line() -> None:
    key = "k\\n" * 2000
    message = _error(META + f'image: a\nfrom: x\n"{key}": 1\n').message
    assert len(message.splitlines()) == 1
    assert len(message) < 700


def test_reading_stops_after_many_mistakes() -> None:
    body = "".join(
        f"- {{image: ghost{number}, add: /x, after: setup}}\n" for number in range(20_000)
    )
    lines = _error(META + "image: a\nfrom: x\nimport:\n" + body).message.splitlines()
    assert len(lines) == 11
    assert lines[0].startswith('werf.yaml:7: image "a": import[0]: image "ghost0"')
    assert lines[-1] == "and 40 more"
