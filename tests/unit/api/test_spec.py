"""The spec's models against the cases that a real API server is held to as well."""

from collections.abc import Mapping
from pathlib import Path

import pytest
import yaml

from conveyor.api.errors import UserError
from conveyor.api.names import Reason
from conveyor.api.v1alpha1 import Execution, ImageBuild

CASES = yaml.safe_load((Path(__file__).parents[2] / "api" / "crd_cases.yaml").read_text())
META = {"name": "demo", "namespace": "team", "uid": "u-1", "generation": 3}


def merged(base: Mapping[str, object], over: Mapping[str, object]) -> dict[str, object]:
    """Over wins, maps are merged, null removes."""
    out = dict(base)
    for key, value in over.items():
        old = out.get(key)
        if value is None:
            out.pop(key, None)
        elif isinstance(value, Mapping) and isinstance(old, Mapping):
            out[key] = merged(old, value)
        else:
            out[key] = value
    return out


def build(spec: Mapping[str, object], **metadata: object) -> ImageBuild:
    return ImageBuild.from_object(
        {"metadata": META | metadata, "spec": merged(CASES["base"], spec)}
    )


def named(cases: list[dict[str, object]]) -> list[object]:
    return [pytest.param(case, id=str(case["name"])) for case in cases]


@pytest.mark.parametrize("case", named([it for it in CASES["cases"] if "error" not in it]))
def test_right_spec_is_read(case: dict[str, Mapping[str, object]]) -> None:
    assert build(case["spec"]).spec.repo


@pytest.mark.parametrize("case", named([it for it in CASES["cases"] if "error" in it]))
def test_wrong_spec_is_explained(case: dict[str, Mapping[str, object]]) -> None:
    with pytest.raises(UserError, match=r"ImageBuild\.spec") as caught:
        build(case["spec"])
    assert caught.value.reason == Reason.INVALID_SPEC
    assert str(case["error"]) in caught.value.message


def test_all_mistakes_are_told_at_once_and_values_are_not_repeated() -> None:
    with pytest.raises(UserError) as caught:
        build(
            {"source": {"git": {"url": "https://me:hunter2@x/y"}}, "retryLimit": 11, "images": [""]}
        )
    lines = caught.value.message.splitlines()
    assert len(lines) == 3
    assert "hunter2" not in caught.value.message


def test_defaults() -> None:
    spec = build({}).spec
    assert spec.execution is Execution.STAGE_PER_JOB
    assert (spec.parallel_tasks_limit, spec.retry_limit, spec.suspend) == (5, 2, False)
    assert spec.stage_timeout_seconds() == 3600
    assert spec.timeout_seconds() is None
    assert spec.job_ttl_seconds == 600
    assert spec.pod_template.tolerations == ()
    assert spec.compatibility.keep_entrypoint_with_cmd is False


def test_ca_bundle_key_has_kubernetes_usual_default() -> None:
    bundle = build({"caBundle": {"configMapRef": {"name": "ca"}}}).spec.ca_bundle
    assert bundle is not None
    assert bundle.config_map_ref.key == "ca.crt"


def test_variables_by_name() -> None:
    spec = build({"env": [{"name": "A", "value": "1"}, {"name": "B"}]}).spec
    assert spec.env_map() == {"A": "1", "B": ""}


def test_metadata_tells_request_deletion_and_owner() -> None:
    plain = build({})
    assert plain.requested_at is None
    assert not plain.deleting
    asked = build(
        {},
        annotations={"conveyor.dev/requestedAt": "now"},
        deletionTimestamp="2024-01-01T00:00:00Z",
    )
    assert asked.requested_at == "now"
    assert asked.deleting
    assert asked.owner_reference() == {
        "apiVersion": "conveyor.dev/v1alpha1",
        "kind": "ImageBuild",
        "name": "demo",
        "uid": "u-1",
        "controller": True,
        "blockOwnerDeletion": True,
    }


def test_status_of_another_version_is_read_as_far_as_it_goes() -> None:
    body = {
        "metadata": META,
        "spec": CASES["base"],
        "status": {"observedGeneration": 3, "later": {"invention": 1}, "stages": "1/2"},
    }
    status = ImageBuild.from_object(body).status
    assert (status.observed_generation, status.stages) == (3, "1/2")
