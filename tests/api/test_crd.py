"""The CRD in a real API server: the same cases as the models, and what only a server does."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Protocol, cast

import pytest
import yaml

from conveyor.api.names import FIELD_MANAGER
from conveyor.api.v1alpha1 import (
    Condition,
    ConditionStatus,
    ImageBuild,
    ImageBuildStatus,
    ImageState,
    ImageStatus,
    StageState,
    StageStatus,
)

pytestmark = pytest.mark.cluster

CASES = yaml.safe_load((Path(__file__).parent / "crd_cases.yaml").read_text())
COLLECTION = "/apis/conveyor.dev/v1alpha1/namespaces/default/imagebuilds"
Answer = tuple[int, Mapping[str, object]]


class Api(Protocol):
    """What the fixture offers."""

    request: Callable[..., Answer]
    kubectl: Callable[..., str]


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


def manifest(name: str, spec: Mapping[str, object]) -> dict[str, object]:
    return {
        "apiVersion": "conveyor.dev/v1alpha1",
        "kind": "ImageBuild",
        "metadata": {"name": name},
        "spec": merged(CASES["base"], spec),
    }


def create(api: Api, name: str, spec: Mapping[str, object], query: str = "") -> Answer:
    return api.request("POST", f"{COLLECTION}?fieldValidation=Strict{query}", manifest(name, spec))


def named(cases: list[dict[str, object]]) -> list[object]:
    return [pytest.param(case, id=str(case["name"])) for case in cases]


@pytest.mark.parametrize("case", named([it for it in CASES["cases"] if "error" not in it]))
def test_right_spec_is_accepted(api: Api, case: dict[str, Mapping[str, object]]) -> None:
    status, answer = create(api, "case", case["spec"], "&dryRun=All")
    assert status == 201, answer.get("message")
    ImageBuild.from_object(answer)


@pytest.mark.parametrize("case", named([it for it in CASES["cases"] if "error" in it]))
def test_wrong_spec_is_refused_with_the_same_words(
    api: Api, case: dict[str, Mapping[str, object]]
) -> None:
    status, answer = create(api, "case", case["spec"], "&dryRun=All")
    assert status in {400, 422}, answer
    assert str(case["error"]) in str(answer["message"])


def test_server_fills_in_the_same_defaults_as_the_models(api: Api) -> None:
    _, answer = create(api, "defaults", {}, "&dryRun=All")
    bare = ImageBuild.from_object({**answer, "spec": CASES["base"]})
    assert ImageBuild.from_object(answer).spec == bare.spec
    assert answer["status"] == {"observedGeneration": -1}


def test_status_is_a_subresource_with_one_writer(api: Api) -> None:
    status, created = create(api, "status", {})
    assert status == 201, created
    written = ImageBuildStatus(
        observed_generation=1,
        conditions=(
            Condition(
                type="Ready",
                status=ConditionStatus.UNKNOWN,
                reason="Progressing",
                message="building",
                last_transition_time="2024-01-01T00:00:00Z",
                observed_generation=1,
            ),
        ),
        short_commit="0123456789ab",
        stages="1/2",
        images=(
            ImageStatus(
                name="app",
                final=False,
                state=ImageState.BUILDING,
                stages=(StageStatus(name="from", state=StageState.CACHED, digest="0123456789ab"),),
            ),
        ),
    )
    applied = _apply_status(api, "status", written)
    assert applied["metadata"]["generation"] == 1
    assert ImageBuild.from_object(applied).status == written
    # What the writer leaves out goes away.
    empty = ImageBuildStatus(observed_generation=1)
    assert _apply_status(api, "status", empty)["status"] == empty.to_json()
    table = api.kubectl("get", "ib", "status", "-o", "wide")
    assert table.split()[:6] == ["NAME", "READY", "REASON", "STAGES", "COMMIT", "AGE"]


def test_kubectl_shows_progress_in_columns(api: Api) -> None:
    create(api, "columns", {})
    _apply_status(
        api,
        "columns",
        ImageBuildStatus(
            observed_generation=1,
            conditions=(
                Condition(
                    type="Ready",
                    status=ConditionStatus.TRUE,
                    reason="Succeeded",
                    message="3 images",
                    last_transition_time="2024-01-01T00:00:00Z",
                ),
            ),
            short_commit="0123456789ab",
            stages="12/12",
        ),
    )
    row = api.kubectl("get", "ibs", "columns", "--no-headers").split()
    assert row[:5] == ["columns", "True", "Succeeded", "12/12", "0123456789ab"]
    waited = api.kubectl("wait", "imagebuild/columns", "--for=condition=Ready", "--timeout=5s")
    assert "condition met" in waited


def test_writing_status_cannot_change_the_spec(api: Api) -> None:
    create(api, "apart", {})
    body = {"spec": {"suspend": True}, "status": {"observedGeneration": 5}}
    status, answer = api.request(
        "PATCH", f"{COLLECTION}/apart/status", body, kind="application/merge-patch+json"
    )
    assert status == 200, answer
    build = ImageBuild.from_object(answer)
    assert not build.spec.suspend
    assert build.status.observed_generation == 5


def test_kubectl_apply_refuses_unknown_fields_and_explains_known_ones(api: Api) -> None:
    text = json.dumps(manifest("applied", {}))
    assert "created" in api.kubectl("apply", "-f", "-", stdin=text)
    assert "HOST[:PORT]/PATH" in api.kubectl("explain", "imagebuild.spec.repo")
    assert "imagebuild" in api.kubectl("get", "conveyor", "-o", "name")


def _apply_status(api: Api, name: str, status: ImageBuildStatus) -> dict[str, Mapping[str, object]]:
    body = {
        "apiVersion": "conveyor.dev/v1alpha1",
        "kind": "ImageBuild",
        "metadata": {"name": name},
        "status": status.to_json(),
    }
    path = f"{COLLECTION}/{name}/status?fieldManager={FIELD_MANAGER}&force=true"
    code, answer = api.request("PATCH", path, body, kind="application/apply-patch+yaml")
    assert code == 200, answer
    return cast("dict[str, Mapping[str, object]]", answer)
