"""Sets of images, closures and circles."""

import pytest

from conveyor.api.errors import UserError
from conveyor.config.model import (
    Dependency,
    DockerfileImage,
    Import,
    Meta,
    StapelImage,
    WerfConfig,
)
from conveyor.config.source_line import SourceLine
from conveyor.plan.images import image_sets, needed_images


def stapel(name, *, base="", imports=(), dependencies=()):
    return StapelImage(
        name=name,
        base=base or "debian:12",
        base_internal=bool(base),
        imports=tuple(Import(image=image, add="/a", to="/a", after="install") for image in imports),
        dependencies=tuple(Dependency(image=image, after="install") for image in dependencies),
        at=SourceLine(line=7),
    )


def config(*images):
    return WerfConfig(meta=Meta(project="p"), images=images)


def test_images_are_layered_and_keep_the_order_of_the_config():
    made = config(
        stapel("a", base="b"), stapel("b", imports=["c"]), stapel("d"), stapel("c", base="")
    )
    assert image_sets(made) == (("d", "c"), ("b",), ("a",))


def test_a_selection_brings_what_it_needs_and_nothing_else():
    made = config(stapel("a", base="b"), stapel("b"), stapel("c"))
    assert image_sets(made, ("a",)) == (("b",), ("a",))


def test_dockerfile_images_and_external_imports_are_edges_and_none():
    external = StapelImage(
        name="x",
        base="debian",
        imports=(Import(image="reg/x:1", external=True, add="/a", to="/a", after="setup"),),
    )
    image = DockerfileImage(
        name="d", dockerfile="Dockerfile", dependencies=(Dependency(image="x"),)
    )
    assert needed_images(external) == ()
    assert image_sets(config(image, external)) == (("x",), ("d",))


def test_a_circle_is_shown_by_its_path():
    made = config(
        stapel("free"), stapel("a", base="b"), stapel("b", imports=["c"]), stapel("c", base="b")
    )
    with pytest.raises(UserError, match=r"werf\.yaml:7: .*circle: b -> c -> b$"):
        image_sets(made)


def test_an_image_that_needs_itself_is_a_circle():
    with pytest.raises(UserError, match="a -> a"):
        image_sets(config(stapel("a", base="a")))


def test_an_unknown_selection_names_what_there_is():
    with pytest.raises(UserError, match=r'"z" is not defined .* a, ~'):
        image_sets(config(stapel("a"), stapel("")), ("z",))
