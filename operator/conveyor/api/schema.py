"""The CustomResourceDefinition, made from the models.

In: `ImageBuildSpec` and `ImageBuildStatus`. Out: the CRD as a dict and as YAML. Kubernetes wants a
structural schema: no `$ref`, no `anyOf` with null, no `additionalProperties: false`, no titles;
unknown fields are pruned (and refused by `kubectl apply`, which validates strictly).
`python -m conveyor.api.schema` prints the YAML.
"""

import sys
from collections.abc import Mapping, Sequence

import yaml
from pydantic import BaseModel

from conveyor.api import names
from conveyor.api.v1alpha1 import ImageBuildSpec, ImageBuildStatus

Json = Mapping[str, object]

_HEADER = "# Generated from operator/conveyor/api by `make crds`. Do not edit.\n"
_DROPPED = frozenset({"$defs", "$ref", "additionalProperties", "anyOf", "title"})

_COLUMNS = (
    ("Ready", "string", '.status.conditions[?(@.type=="Ready")].status', 0),
    ("Reason", "string", '.status.conditions[?(@.type=="Ready")].reason', 0),
    ("Stages", "string", ".status.stages", 0),
    ("Commit", "string", ".status.shortCommit", 0),
    ("Age", "date", ".metadata.creationTimestamp", 0),
    ("Repo", "string", ".spec.repo", 1),
    ("Message", "string", '.status.conditions[?(@.type=="Ready")].message', 1),
)


class _Plain(yaml.SafeDumper):
    """YAML without anchors: equal parts are written out."""

    def ignore_aliases(self, data: object) -> bool:
        return True


def crd() -> Json:
    """The CustomResourceDefinition of ImageBuild."""
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": names.CRD_NAME},
        "spec": {
            "group": names.GROUP,
            "names": {
                "kind": names.KIND,
                "listKind": f"{names.KIND}List",
                "plural": names.PLURAL,
                "singular": names.SINGULAR,
                "shortNames": list(names.SHORT_NAMES),
                "categories": [names.CATEGORY],
            },
            "scope": "Namespaced",
            "versions": [_version()],
        },
    }


def render_crd() -> str:
    """The CRD as YAML, the same bytes every time."""
    text: str = yaml.dump(crd(), Dumper=_Plain, sort_keys=False, width=100, allow_unicode=True)
    return _HEADER + text


def structural(model: type[BaseModel], *, defaults: bool) -> Json:
    """Structural schema of a model.

    Args:
        model: The model; must not be recursive.
        defaults: Whether the API server shall fill in defaults.
    """
    schema = model.model_json_schema(by_alias=True)
    definitions = _mapping(schema.get("$defs", {}))
    return _structural(schema, definitions, defaults=defaults)


def _version() -> Json:
    return {
        "name": names.VERSION,
        "served": True,
        "storage": True,
        "subresources": {"status": {}},
        "additionalPrinterColumns": [
            {"name": name, "type": kind, "jsonPath": path} | ({"priority": 1} if wide else {})
            for name, kind, path, wide in _COLUMNS
        ],
        "schema": {"openAPIV3Schema": _root()},
    }


def _root() -> Json:
    status = structural(ImageBuildStatus, defaults=False)
    return {
        "type": "object",
        "description": "One wish to have images built, from a repository with werf.yaml.",
        "required": ["spec"],
        "properties": {
            "apiVersion": {"type": "string"},
            "kind": {"type": "string"},
            "metadata": {"type": "object"},
            "spec": structural(ImageBuildSpec, defaults=True),
            # A new object must not look finished before the operator has seen it.
            "status": {**status, "default": {"observedGeneration": -1}},
        },
    }


def _structural(node: Json, definitions: Json, *, defaults: bool) -> Json:
    merged = _resolved(node, definitions)
    out = {key: value for key, value in merged.items() if key not in _DROPPED}
    # Defaults of objects and lists are left to the models: stored objects stay as users wrote them.
    if not defaults or not isinstance(out.get("default"), str | int):
        out.pop("default", None)
    for key in ("items", "additionalProperties"):
        inner = merged.get(key)
        if isinstance(inner, Mapping):
            out[key] = _structural(inner, definitions, defaults=defaults)
    if "properties" in merged:
        out["properties"] = {
            name: _structural(_mapping(value), definitions, defaults=defaults)
            for name, value in _mapping(merged["properties"]).items()
        }
    return out


def _resolved(node: Json, definitions: Json) -> Json:
    """The node with its `$ref` or `anyOf` put in; what stands beside them wins."""
    if "$ref" in node:
        target = definitions[str(node["$ref"]).rpartition("/")[2]]
        return {**_resolved(_mapping(target), definitions), **node}
    if "anyOf" in node:
        return {**_resolved(_one_of(_list(node["anyOf"])), definitions), **node}
    return node


def _one_of(options: Sequence[Json]) -> Json:
    """What stays of a union: the one that is not null, or Kubernetes' integer-or-string."""
    given = [it for it in options if it.get("type") != "null"]
    kinds = {str(it.get("type")) for it in given}
    if len(given) == 1:
        return given[0]
    if kinds == {"integer", "string"}:
        text = next(it for it in given if it.get("type") == "string")
        untyped = {key: value for key, value in text.items() if key != "type"}
        return untyped | {"x-kubernetes-int-or-string": True}
    raise TypeError(f"no structural schema for {kinds}")


def _mapping(value: object) -> Json:
    if not isinstance(value, Mapping):
        raise TypeError(f"not a mapping: {value!r}")
    return value


def _list(value: object) -> Sequence[Json]:
    if not isinstance(value, list):
        raise TypeError(f"not a list: {value!r}")
    return [_mapping(it) for it in value]


def main() -> None:
    """Print the CRD."""
    sys.stdout.write(render_crd())


if __name__ == "__main__":
    main()
