"""The CRD is up to date, structural and bounded."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
import yaml
from pydantic import BaseModel

from conveyor.api.schema import crd, render_crd, structural

ROOT = Path(__file__).parents[3]
CRD_FILE = ROOT / "crds" / "conveyor.dev_imagebuilds.yaml"
CHART_FILE = ROOT / "charts" / "conveyor" / "files" / "conveyor.dev_imagebuilds.yaml"


def nodes(node: object, path: str = "") -> Iterator[tuple[str, Mapping[str, object]]]:
    if isinstance(node, Mapping):
        if "type" in node or "x-kubernetes-int-or-string" in node:
            yield path, node
        for key, value in node.items():
            yield from nodes(value, f"{path}.{key}")


def schema() -> Mapping[str, object]:
    (version,) = yaml.safe_load(render_crd())["spec"]["versions"]
    root: Mapping[str, object] = version["schema"]["openAPIV3Schema"]
    return root


def test_files_are_up_to_date() -> None:
    assert CRD_FILE.read_text() == render_crd(), "run `make crds`"
    assert CHART_FILE.read_text() == render_crd(), "run `make crds`"


def test_yaml_says_what_the_dict_says() -> None:
    assert yaml.safe_load(render_crd()) == crd()


def test_file_fits_into_the_annotation_of_kubectl_apply() -> None:
    assert len(render_crd()) < 200_000


def test_schema_is_structural() -> None:
    forbidden = {"$ref", "$defs", "anyOf", "oneOf", "title", "const", "prefixItems"}
    for path, node in nodes(schema()):
        assert not forbidden & set(node), path
        assert node.get("additionalProperties") is not False, path


def test_everything_a_user_writes_is_bounded() -> None:
    properties = schema()["properties"]
    assert isinstance(properties, Mapping)
    for path, node in nodes(properties["spec"]):
        if node.get("type") == "string" and "enum" not in node:
            assert "maxLength" in node, path
        if node.get("type") == "array":
            assert "maxItems" in node, path
        if "additionalProperties" in node:
            assert "maxProperties" in node, path


def test_a_new_object_does_not_look_finished() -> None:
    properties = schema()["properties"]
    assert isinstance(properties, Mapping)
    assert properties["status"]["default"] == {"observedGeneration": -1}


def test_rules_are_published_with_the_field_they_are_about() -> None:
    rules = dict(nodes(schema()))[".properties.spec.properties.source.properties.git"]
    validations = rules["x-kubernetes-validations"]
    assert isinstance(validations, list)
    assert validations[0]["message"] == "give exactly one of commit, branch and tag"
    assert {it.get("fieldPath") for it in validations} >= {".url", ".commit", ".branch", ".tag"}


def test_unions_that_kubernetes_cannot_express_are_refused() -> None:
    class Mixed(BaseModel):
        field: str | bool

    with pytest.raises(TypeError, match="no structural schema"):
        structural(Mixed, defaults=True)
