"""What `kubectl` shows of an ImageBuild while it is built and when it is done."""

import json
import re
from datetime import datetime

import pytest
from tests.cluster.builds import IMAGE_PER_JOB, STAGE_PER_JOB, condition, image, stages
from tests.cluster.harness import Harness
from tests.cluster.kube import BATCH, Json
from tests.cluster.registry import refs

META = "project: e2e\nconfigVersion: 1\n---\n"
CHAIN = (
    META
    + """\
image: first
from: debian:bookworm
final: false
shell:
  install: sleep 3; echo 1 > /1
  setup: echo 2 > /2
---
image: second
fromImage: first
shell: {install: sleep 3; cat /1 /2 > /3}
---
image: beside
from: debian:bookworm
shell: {install: echo beside > /beside}
---
image: third
fromImage: second
import: [{image: beside, add: /beside, to: /4, after: install}]
"""
)


@pytest.mark.parametrize("execution", [STAGE_PER_JOB, IMAGE_PER_JOB])
def test_the_plan_is_shown(lab: Harness, execution: str) -> None:
    build = lab.build(config=CHAIN, execution=execution)
    build.wait_for("a planned build", lambda found: (found.get("status") or {}).get("plan"))
    early = build.status()
    assert condition(early, "Ready")["status"] == "Unknown"
    assert condition(early, "Reconciling")["status"] == "True"
    assert condition(early, "Planned")["status"] == "True"
    assert "completedAt" not in early
    build.wait_for("a stage under way", lambda found: "Building" in _states(found))

    status = build.wait_ready()
    sets = [entry["images"] for entry in status["plan"]["sets"]]
    assert [sorted(names) for names in sets] == [["beside", "first"], ["second"], ["third"]]
    assert [one["name"] for one in status["images"]] == [name for names in sets for name in names]
    assert stages(status, "first") == {"from": "Built", "install": "Built", "setup": "Built"}
    assert image(status, "first")["final"] is False
    assert "final" not in image(status, "second")
    _check_times(build.get(), lab)
    _check_events(build.event_reasons())
    for ref in refs(status).values():
        assert re.fullmatch(re.escape(build.repo) + r"@sha256:[0-9a-f]{64}", ref)
    assert lab.pods.shell(refs(status)["third"], "cat /3 /4") == "1\n2\nbeside\n"


def _states(found: Json) -> set[str]:
    status = found.get("status") or {}
    return {stage["state"] for one in status.get("images", []) for stage in one["stages"]}


def _check_times(found: Json, lab: Harness) -> None:
    """Every stage that a pod built names its Job, and its times lie within the build's."""
    status, namespace = found["status"], found["metadata"]["namespace"]
    begin, end = _time(status["startedAt"]), _time(status["completedAt"])
    begin = begin.replace(microsecond=0)  # of Jobs only whole seconds are known
    assert begin <= end
    for one in status["images"]:
        for stage in one["stages"]:
            assert re.fullmatch(r"[0-9a-f]{12,56}", stage["digest"])
            assert begin <= _time(stage["finishedAt"]) <= end
            if stage["name"] == "from":
                assert "job" not in stage
                continue
            assert lab.kube.get(f"{BATCH}/namespaces/{namespace}/jobs/{stage['job']}")
            assert begin <= _time(stage["startedAt"]) <= _time(stage["finishedAt"])


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _check_events(reasons: list[str]) -> None:
    assert {"StageStarted", "StageBuilt"} <= set(reasons)
    assert not {"StageFailed", "InternalError", "StageDiscarded"} & set(reasons)


def test_kubectl_and_kstatus(lab: Harness) -> None:
    """Printer columns, `kubectl wait`, and the conditions that kstatus computes from."""
    project = lab.git_project({"werf.yaml": META + "image: one\nfrom: debian:bookworm\n"})
    build = lab.build(project)
    where = ("--namespace", build.namespace)
    said = lab.kube.kubectl(
        "wait", *where, "--for=condition=Ready", "--timeout=180s", f"ib/{build.name}"
    )
    assert "condition met" in said
    heads, values = (
        re.split(r"\s{2,}", line.strip())
        for line in lab.kube.kubectl("get", "ib", *where, build.name).splitlines()
    )
    row = dict(zip(heads, values, strict=True))
    assert row.pop("AGE")
    short = project.commit[:12]
    expected = {"READY": "True", "REASON": "Succeeded", "STAGES": "1/1", "COMMIT": short}
    assert row == {"NAME": build.name, **expected}
    found = build.get()
    status = found["status"]
    assert status["observedGeneration"] == found["metadata"]["generation"]
    ready = condition(status, "Ready")
    assert ready["observedGeneration"] == found["metadata"]["generation"]
    assert {one["type"] for one in status["conditions"]} == {"Ready", "Planned"}
    wide = lab.kube.kubectl("get", "imagebuilds", *where, build.name, "-o", "wide")
    assert build.repo in wide
    everything = lab.kube.kubectl("get", "conveyor", *where)
    assert build.name in everything


def test_forty_images_fit(lab: Harness) -> None:
    """The status of 40 images stays below 25 kB, names every reference, and needs no pod for metadata."""
    documents = [
        f"image: service-with-a-longer-name-{number:02}\nfrom: debian:bookworm\n"
        f"docker: {{ENV: {{NUMBER: '{number}'}}}}\n"
        for number in range(40)
    ]
    build = lab.build(config=META + "---\n".join(documents))
    status = build.wait_ready()
    assert len(refs(status)) == 40
    size = len(json.dumps(status, separators=(",", ":")).encode())
    assert size <= 25_000, size
    assert status["counts"] == {"total": 80, "cached": 0, "built": 80, "building": 0, "failed": 0}
    assert build.jobs() == []
    last = lab.config(refs(status)["service-with-a-longer-name-39"])
    assert "NUMBER=39" in str(last["Env"])
