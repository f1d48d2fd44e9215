"""Job and Pod dicts, as a cluster gives them, to what is known of a Job."""

# mypy: disable-error-code="no-untyped-def, no-untyped-call, union-attr, arg-type, var-annotated"

import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.jobs.values import (
    EXTERNAL,
    digest,
    export_result,
    failed,
    image,
    plan,
    ran,
    sha,
    situation,
    to_build,
    view,
)

from conveyor.api.names import Reason
from conveyor.jobs.decide import decide
from conveyor.jobs.model import JobPhase, StageResult
from conveyor.jobs.observe import awaits_volumes, observe, result_blob
from conveyor.jobs.result import parse_result

T0, T1, T2 = "2024-05-06T12:00:00Z", "2024-05-06T12:00:02Z", "2024-05-06T12:01:00Z"


def job(*, digests=("app/install",), exports=None, conditions=(), **meta):
    annotations = {
        "conveyor.dev/image": "app",
        "conveyor.dev/stages": "install",
        "conveyor.dev/digests": ",".join(str(digest(one)) for one in digests),
        "conveyor.dev/contents": ",".join(str(digest(f"content {one}")) for one in digests),
        "conveyor.dev/parent": sha("parent"),
        "conveyor.dev/exports": json.dumps(exports or {}),
        "conveyor.dev/run": "3/now",
    }
    return {
        "metadata": {
            "name": "stage-x-0",
            "namespace": "default",
            "uid": "uid-job",
            "labels": {"conveyor.dev/attempt": "2"},
            "annotations": annotations,
            "ownerReferences": [{"kind": "ImageBuild", "name": "b", "uid": "uid-build"}],
            "creationTimestamp": T0,
            **meta,
        },
        "spec": {},
        "status": {"conditions": list(conditions)},
    }


def pod(stage=None, courier=None, *, phase="Running", conditions=(), **status):
    """A pod with the states of its two containers."""
    containers = {"stage": stage, "courier": courier}
    return {
        "metadata": {"name": "stage-x-0-abcde", "creationTimestamp": T0},
        "status": {
            "phase": phase,
            "startTime": T1,
            "conditions": list(conditions),
            "containerStatuses": [
                {"name": name, "image": f"registry.example/{name}", "state": state}
                for name, state in containers.items()
                if state is not None
            ],
            **status,
        },
    }


def waiting(reason, message=""):
    return {"waiting": {"reason": reason, "message": message}}


def ended(message="", *, code=0, reason="Completed"):
    return {
        "terminated": {
            "exitCode": code,
            "reason": reason,
            "message": message if isinstance(message, str) else json.dumps(message),
            "finishedAt": T2,
        }
    }


RUNNING = {"running": {"startedAt": T1}}
CREATING = waiting("ContainerCreating")


def condition(kind, reason="", status="True", message=""):
    return {
        "type": kind,
        "status": status,
        "reason": reason,
        "message": message,
        "lastTransitionTime": T2,
    }


def wire_layer(name):
    made = ran(name).changed[0]
    return {"digest": made.digest, "diffID": made.diff_id, "size": made.size}


def wire(*runs, exports=(), failure=None):
    """A StageResult as the courier writes it."""
    return {
        "version": 1,
        "runs": [{"layers": [wire_layer(x) if x else None for x in layers]} for layers in runs],
        "exports": {key: wire_layer(name) for key, name in exports},
        "failure": failure,
    }


def test_a_new_job():
    seen = observe(job(exports={"e0": "copy-1"}), None)
    assert (seen.name, seen.uid, seen.owner_uid) == ("stage-x-0", "uid-job", "uid-build")
    assert (seen.run_id, seen.attempt, seen.parent) == ("3/now", 2, sha("parent"))
    assert seen.digests == (digest("app/install"),)
    assert seen.contents == (digest("content app/install"),)
    assert seen.exports == {"e0": "copy-1"}
    assert (seen.phase, seen.created_at, seen.started_at) == (JobPhase.PENDING, T0, "")
    assert seen.result == StageResult()
    assert not seen.ended
    assert not seen.deleting
    assert observe(job(deletionTimestamp=T1), None).deleting


def test_an_export_job_has_no_stages():
    assert observe(job(digests=()), None).digests == ()


@pytest.mark.parametrize(
    ("given_job", "given_pod", "phase"),
    [
        (job(), None, JobPhase.PENDING),
        (job(), pod(phase="Pending"), JobPhase.PENDING),
        (job(), pod(CREATING, CREATING, phase="Pending"), JobPhase.PENDING),
        (job(), pod(RUNNING, CREATING), JobPhase.RUNNING),
        (job(), pod(RUNNING, RUNNING), JobPhase.RUNNING),
        (job(), pod(ended(), RUNNING), JobPhase.RUNNING),
        (job(), pod(RUNNING, ended()), JobPhase.ENDED),
        (job(), pod(ended(), ended(), phase="Succeeded"), JobPhase.ENDED),
        (job(), pod(phase="Failed"), JobPhase.ENDED),
        (job(conditions=[condition("Complete")]), None, JobPhase.ENDED),
        (job(conditions=[condition("Failed")]), pod(RUNNING, RUNNING), JobPhase.ENDED),
        (job(conditions=[condition("Failed", status="False")]), None, JobPhase.PENDING),
    ],
)
def test_phases(given_job, given_pod, phase):
    assert observe(given_job, given_pod).phase is phase


def test_the_couriers_result():
    message = wire(("a", None, "b"), exports=[("e0", "files")])
    seen = observe(job(exports={"e0": "copy-1"}), pod(ended(), ended(message), phase="Succeeded"))
    assert seen.result == StageResult(
        runs=(ran("a", None, "b"),), exports={"e0": export_result("files")}
    )
    assert (seen.started_at, seen.finished_at) == (T1, T2)


def test_a_report_arrives_before_the_message_and_is_completed_by_it():
    report = StageResult(runs=(ran("a"),), exports={"e0": export_result("files")})
    both = job(digests=("a", "b"), exports={"e0": "k"})
    assert observe(both, pod(RUNNING, RUNNING), report).result == report
    seen = observe(both, pod(ended(), ended(wire(("a",), ("b",)))), report)
    assert seen.result.runs == (ran("a"), ran("b"))
    assert seen.result.exports == report.exports
    assert seen.result.failure is None


def test_an_export_that_was_left_out_does_not_fail_its_job():
    message = {"version": 1, "runs": [{"layers": []}], "exports": {"e0": None}, "failure": None}
    told = ended(json.dumps(message))
    seen = observe(job(digests=("a",), exports={"e0": "k"}), pod(ended(), told))
    assert (seen.result.exports, seen.result.failure) == ({"e0": None}, None)


def test_a_report_without_its_end_is_a_lost_pod():
    report = StageResult(runs=(ran("a"),))
    seen = observe(job(digests=("a", "b")), pod(phase="Failed", reason="Evicted"), report)
    assert seen.result.runs == report.runs
    assert seen.result.failure.reason is Reason.STAGE_EVICTED


def test_a_reported_failure_outlives_its_pod():
    seen = observe(job(conditions=[condition("Failed")]), None, failed(final=True))
    assert seen.result.failure == failed(final=True).failure


@pytest.mark.parametrize(
    ("word", "reason", "final"),
    [
        ("CommandFailed", Reason.STAGE_FAILED, True),
        ("LayerInvalid", Reason.STAGE_FAILED, True),
        ("InputMissing", Reason.STAGE_FAILED, True),
        ("GitUnreachable", Reason.GIT_REMOTE_UNREACHABLE, False),
        ("GitAuthFailed", Reason.GIT_AUTH_FAILED, True),
        ("CommitNotFound", Reason.GIT_REVISION_NOT_FOUND, True),
        ("RegistryUnreachable", Reason.REGISTRY_UNREACHABLE, False),
        ("RegistryDenied", Reason.PUSH_FAILED, True),
        ("StageDied", Reason.STAGE_EVICTED, False),
        ("StageNeverStarted", Reason.STAGE_EVICTED, False),
        ("Internal", Reason.STAGE_EVICTED, False),
        ("Terminated", Reason.STAGE_EVICTED, False),
        ("", Reason.STAGE_FAILED, True),
    ],
)
def test_reasons_of_the_courier(word, reason, final):
    failure = observe(
        job(), pod(None, ended(wire(failure={"reason": word, "message": "m"})))
    ).result
    assert (failure.failure.reason, failure.failure.final) == (reason, final)


def test_a_users_failure_with_all_details():
    failure = {
        "reason": "CommandFailed",
        "message": "the command ended with 2",
        "run": 1,
        "command": "make all",
        "exitCode": 2,
        "logTail": "no rule",
    }
    seen = observe(job(digests=("a", "b")), pod(None, ended(wire(("a",), failure=failure), code=1)))
    found = seen.result.failure
    assert (found.run, found.command, found.exit_code, found.log_tail) == (
        1,
        "make all",
        2,
        "no rule",
    )
    assert len(seen.result.runs) == 1


def test_out_of_memory_is_told_instead_of_a_dead_stage():
    died = wire(failure={"reason": "StageDied", "message": "the stage container died"})
    seen = observe(job(), pod(ended(code=137, reason="OOMKilled"), ended(died)))
    assert seen.result.failure.reason is Reason.STAGE_OOM_KILLED
    assert seen.result.failure.final
    assert "limits.memory" in seen.result.failure.message


def test_a_command_that_ran_out_of_memory_is_told_with_its_exit_code():
    own = wire(failure={"reason": "CommandFailed", "message": "ended with 137", "exitCode": 137})
    seen = observe(job(), pod(ended(code=1, reason="OOMKilled"), ended(own)))
    assert seen.result.failure.exit_code == 137


def test_out_of_memory_without_any_word_of_the_courier():
    seen = observe(job(), pod(ended(code=137, reason="OOMKilled"), RUNNING, phase="Failed"))
    assert seen.result.failure.reason is Reason.STAGE_OOM_KILLED


def test_the_deadline_is_final():
    late = job(conditions=[condition("Failed", "DeadlineExceeded")])
    seen = observe(late, None)
    assert seen.result.failure.reason is Reason.STAGE_TIMED_OUT
    assert seen.result.failure.final
    assert seen.finished_at == T2


TERMINATED = wire(
    failure={"reason": "Terminated", "message": "the courier was told to end before it was done"}
)


def test_a_pod_that_was_told_to_stop_is_tried_again():
    """A drained node or a preemption sends SIGTERM: both containers say so before they end."""
    drained = pod(ended(code=1), ended(TERMINATED, code=1, reason="Error"), phase="Failed")
    seen = observe(job(conditions=[condition("Failed", "BackoffLimitExceeded")]), drained)
    assert seen.result.failure.reason is Reason.STAGE_EVICTED
    assert not seen.result.failure.final


def test_a_pod_that_was_stopped_by_the_deadline_took_too_long():
    stopped = pod(ended(code=1), ended(TERMINATED, code=1, reason="Error"), phase="Failed")
    seen = observe(job(conditions=[condition("Failed", "DeadlineExceeded")]), stopped)
    assert seen.result.failure.reason is Reason.STAGE_TIMED_OUT
    assert seen.result.failure.final


def test_a_copy_has_no_checksum():
    message = {"runs": [], "exports": {"e0": {**wire_layer("files"), "checksum": None}}}
    seen = observe(job(digests=(), exports={"e0": "copy-1"}), pod(ended(), ended(message)))
    assert seen.result.exports == {"e0": export_result("files")}


@pytest.mark.parametrize(
    ("gone", "words"),
    [
        (pod(phase="Failed", reason="Evicted", message="low on memory"), "Evicted): low on memory"),
        (
            pod(
                phase="Failed", conditions=[condition("DisruptionTarget", "DeletionByTaintManager")]
            ),
            "DeletionByTaintManager",
        ),
        (
            pod(ended(code=1, reason="Error"), ended(code=2, reason="Error")),
            "courier ended with code 2",
        ),
        (None, "the pod is gone"),
    ],
)
def test_a_lost_pod_is_tried_again(gone, words):
    seen = observe(job(conditions=[condition("Failed", "BackoffLimitExceeded")]), gone)
    assert seen.result.failure.reason is Reason.STAGE_EVICTED
    assert not seen.result.failure.final
    assert words in seen.result.failure.message


def test_a_complete_result_is_no_failure_however_the_pod_ended():
    seen = observe(
        job(conditions=[condition("Failed", "BackoffLimitExceeded")]),
        pod(None, ended(wire(("a",)), code=1, reason="Error"), phase="Failed"),
    )
    assert seen.result == StageResult(runs=(ran("a"),))


# --- waiting ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("word", ["ErrImagePull", "ImagePullBackOff", "InvalidImageName"])
def test_an_image_that_cannot_be_pulled(word):
    seen = observe(job(), pod(waiting(word, "denied"), RUNNING, phase="Pending"))
    assert seen.waiting_reason is Reason.STAGE_PULL_FAILED
    assert "registry.example/stage" in seen.waiting
    assert "denied" in seen.waiting
    assert "spec.imagePullSecrets" in seen.waiting


@pytest.mark.parametrize("word", ["CreateContainerConfigError", "CreateContainerError"])
def test_a_secret_that_is_not_there(word):
    text = 'secret "push" not found'
    seen = observe(job(), pod(CREATING, waiting(word, text), phase="Pending"))
    assert (seen.waiting_reason, seen.waiting) == (Reason.SECRET_NOT_FOUND, text)


def test_a_pod_that_no_node_takes():
    unscheduled = condition("PodScheduled", "Unschedulable", "False", "0/1 nodes are available")
    seen = observe(job(), pod(phase="Pending", conditions=[unscheduled]))
    assert (seen.waiting_reason, seen.waiting) == (
        Reason.STAGE_UNSCHEDULABLE,
        "0/1 nodes are available",
    )


ARM = {"kubernetes.io/os": "linux", "kubernetes.io/arch": "arm64"}
OTHER_LABELS = "didn't match Pod's node affinity/selector"
TAINT = "had untolerated taint {node-role.kubernetes.io/control-plane: }"
LOST = "preemption: 0/3 nodes are available: 3 Preemption is not helpful for scheduling."


@pytest.mark.parametrize(
    ("told", "selector", "missing"),
    [
        (f"0/3 nodes are available: 3 node(s) {OTHER_LABELS}. {LOST}", ARM, True),
        (
            f"0/3 nodes are available: 1 node(s) {TAINT}, 2 node(s) {OTHER_LABELS}. {LOST}",
            ARM,
            True,
        ),
        (
            f"0/3 nodes are available: 1 Insufficient cpu, 2 node(s) {OTHER_LABELS}. {LOST}",
            ARM,
            False,
        ),
        (f"0/3 nodes are available: 3 node(s) {TAINT}. {LOST}", ARM, False),
        (f"0/3 nodes are available: 3 node(s) {OTHER_LABELS}.", {**ARM, "disk": "fast"}, False),
        (f"0/3 nodes are available: 3 node(s) {OTHER_LABELS}.", {}, False),
        ("no nodes available to schedule pods", ARM, False),
    ],
)
def test_a_platform_without_a_node_is_told_apart(told, selector, missing):
    unscheduled = condition("PodScheduled", "Unschedulable", "False", told)
    given = {**pod(phase="Pending", conditions=[unscheduled]), "spec": {"nodeSelector": selector}}
    seen = observe(job(), given)
    assert told in seen.waiting
    assert seen.waiting.startswith("no node of linux/arm64 takes the pod: ") is missing
    wanted = Reason.PLATFORM_NOT_AVAILABLE if missing else Reason.STAGE_UNSCHEDULABLE
    assert seen.waiting_reason is wanted


def test_a_pod_that_the_cluster_refuses():
    seen = observe(job(), None, None, "exceeded quota: pods")
    assert (seen.waiting_reason, seen.waiting) == (Reason.POD_REJECTED, "exceeded quota: pods")


def test_a_refused_host_path_is_explained():
    said = 'violates PodSecurity "baseline:latest": hostPath volumes (volume "mount-0")'
    seen = observe(job(), None, None, said)
    assert seen.waiting_reason is Reason.POD_REJECTED
    assert seen.waiting.startswith(said)
    assert "mounts.fromPaths" in seen.waiting
    assert "PersistentVolumeClaim" in seen.waiting


def on_node(given, *volumes):
    return {
        **given,
        "spec": {"nodeName": "n", "volumes": [{"name": "v", **one} for one in volumes]},
    }


CLAIM = {"persistentVolumeClaim": {"claimName": "cache"}}


def test_a_volume_that_cannot_be_mounted_is_told():
    waiting_pod = on_node(pod(CREATING, CREATING, phase="Pending"), CLAIM)
    assert awaits_volumes(waiting_pod)
    seen = observe(job(), waiting_pod, None, "Multi-Attach error for volume")
    assert seen.waiting_reason is Reason.STAGE_UNSCHEDULABLE
    assert seen.waiting == "Multi-Attach error for volume"


@pytest.mark.parametrize(
    "given_pod",
    [
        on_node(pod(CREATING, CREATING, phase="Pending"), {"emptyDir": {}}, {"secret": {}}),
        on_node(pod(RUNNING, CREATING), CLAIM),
        on_node(pod(RUNNING, RUNNING), CLAIM),
        {**pod(phase="Pending"), "spec": {"volumes": [CLAIM]}},
    ],
)
def test_other_pods_do_not_wait_for_a_volume(given_pod):
    assert not awaits_volumes(given_pod)


@pytest.mark.parametrize(
    ("given_job", "given_pod"),
    [
        (job(), None),
        (job(), pod(CREATING, CREATING, phase="Pending")),
        (job(), pod(RUNNING, RUNNING, conditions=[condition("PodScheduled")])),
        (job(conditions=[condition("Failed")]), pod(waiting("ErrImagePull"), RUNNING)),
    ],
)
def test_nothing_is_wrong_with_these(given_job, given_pod):
    seen = observe(given_job, given_pod)
    assert (seen.waiting_reason, seen.waiting) == (None, "")


def test_patience_begins_when_the_waiting_does():
    """The pod stood unscheduled for five minutes; its first failed pull is seconds old."""
    scheduled = {**condition("PodScheduled"), "lastTransitionTime": "2024-05-06T12:05:00Z"}
    late = pod(
        waiting("ErrImagePull", "timeout"), CREATING, phase="Pending", conditions=[scheduled]
    )
    late["status"]["startTime"] = "2024-05-06T12:05:00Z"
    seen = observe(job(), late)
    planned = plan(image(to_build("app/install", base=EXTERNAL)))
    now = datetime(2024, 5, 6, 12, 5, 10, tzinfo=UTC)
    decision = decide(situation(planned, seen, now=now))
    assert view(decision, "app/install").state == "Building"


# --- texts that somebody else wrote -----------------------------------------------------------------------------------

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(
                [
                    "runs",
                    "layers",
                    "exports",
                    "failure",
                    "digest",
                    "diffID",
                    "size",
                    "checksum",
                    "reason",
                    "exitCode",
                    "run",
                    "e0",
                ]
            )
            | st.text(max_size=5),
            inner,
            max_size=6,
        )
    ),
    max_leaves=20,
)


@given(JSON | st.fixed_dictionaries({}, optional={"runs": JSON, "exports": JSON, "failure": JSON}))
def test_any_json_is_a_result_or_none(value):
    parsed = parse_result(json.dumps(value))
    assert parsed is None or isinstance(parsed, StageResult)
    result_blob(pod(None, ended(value)))
    observe(job(), pod(None, ended(value)))


@given(st.text(max_size=200))
def test_any_text_is_a_result_or_none(text):
    parsed = parse_result(text)
    assert parsed is None or isinstance(parsed, StageResult)
    assert isinstance(result_blob(pod(None, ended(text))), str)


HUGE = "9" * 5000
NONSENSE = {
    "empty": "",
    "a list": "[]",
    "a number": "1",
    "a text": '"runs"',
    "null": "null",
    "cut off": '{"runs": [{"lay',
    "runs is a number": '{"runs": 1}',
    "runs is an object": '{"runs": {"a": 1}}',
    "a run is null": '{"runs": [null]}',
    "layers is missing": '{"runs": [{}]}',
    "a layer is a text": '{"runs": [{"layers": ["x"]}]}',
    "a layer has no size": '{"runs": [{"layers": [{"digest": "d", "diffID": "d"}]}]}',
    "a size is a word": '{"runs": [{"layers": [{"digest": "d", "diffID": "d", "size": "big"}]}]}',
    "a size is infinite": '{"runs": [{"layers": [{"digest": "d", "diffID": "d", "size": 1e999}]}]}',
    "a size has 5000 digits": f'{{"runs": [{{"layers": [{{"digest": "d", "diffID": "d", "size": {HUGE}}}]}}]}}',
    "exports is a list": '{"exports": ["e0"]}',
    "an export is a number": '{"exports": {"e0": 1}}',
    "failure is a text": '{"failure": "x"}',
    "deep": "[" * 100_000 + "]" * 100_000,
    "deep objects": '{"runs":' * 100_000 + "1" + "}" * 100_000,
}


@pytest.mark.parametrize("text", NONSENSE.values(), ids=NONSENSE.keys())
def test_nonsense_is_no_result(text):
    if text != "null":
        assert parse_result(text) is None
    assert result_blob(pod(None, ended(text))) == ""
    seen = observe(job(), pod(None, ended(text)))
    assert seen.result.runs == ()


@pytest.mark.parametrize(
    "layer",
    [
        {"digest": 1, "diffID": "d", "size": 1},
        {"digest": sha("x"), "diffID": None, "size": 1},
        {"digest": sha("x"), "diffID": sha("y"), "size": -1},
        {"digest": "../../x", "diffID": sha("y"), "size": 1},
    ],
)
def test_a_layer_that_no_registry_would_take_is_no_result(layer):
    assert parse_result(json.dumps({"runs": [{"layers": [layer]}]})) is None


@pytest.mark.parametrize("code", ["2", {"a": 1}, 2.5, [2], 10**30, True])
def test_an_exit_code_is_a_number_or_nothing(code):
    parsed = parse_result(json.dumps({"failure": {"reason": "CommandFailed", "exitCode": code}}))
    assert parsed is None or parsed.failure.exit_code is None


@pytest.mark.parametrize("run", ["1e999", "-1", "1.5", '"x"', "null", HUGE, "[]"])
def test_the_failed_run_is_a_number_or_the_first(run):
    parsed = parse_result(f'{{"failure": {{"run": {run}}}}}')
    assert parsed is None or parsed.failure.run == 0


def test_a_result_that_is_too_long_names_a_blob():
    assert result_blob(pod(None, ended({"resultDigest": sha("result")}))) == sha("result")
    assert result_blob(pod(None, ended({"resultDigest": None}))) == ""
    assert result_blob(pod(RUNNING, RUNNING)) == ""
    assert result_blob(None) == ""
