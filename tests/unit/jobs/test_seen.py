"""Events of Jobs and pods that tell nothing new."""

# mypy: disable-error-code="no-untyped-def, no-untyped-call"

import copy
import itertools
from dataclasses import replace

import pytest
from tests.unit.jobs.test_observe import CREATING, RUNNING, condition, ended, job, pod, waiting

from conveyor.jobs.observe import observe
from conveyor.jobs.seen import NOTHING_SEEN, seen
from conveyor.shell.watch import _news

STATES = [
    *(None, CREATING, RUNNING, waiting("PodInitializing"), waiting("ErrImagePull", "no such tag")),
    *(waiting("ImagePullBackOff", "later"), waiting("CreateContainerConfigError", "no secret")),
    *(ended("{}"), ended("", code=137, reason="OOMKilled"), ended("x", code=1, reason="Error")),
]
CONDITIONS = [
    (),
    (condition("PodScheduled"),),
    (condition("PodScheduled", "Unschedulable", "False", "0/2 nodes are available"),),
    (condition("PodScheduled"), condition("Initialized"), condition("Ready", status="False")),
    (condition("DisruptionTarget", "EvictionByEvictionAPI"),),
]
ENDS = [(), (condition("Failed", "DeadlineExceeded"),), (condition("Complete"),)]
VOLUMES = [[], [{"name": "x", "persistentVolumeClaim": {"claimName": "x"}}]]


def _pods():
    for stage, courier, conditions in itertools.product(STATES, STATES, CONDITIONS):
        for phase, volumes in itertools.product(("Pending", "Running", "Failed"), VOLUMES):
            made = pod(stage, courier, phase=phase, conditions=conditions)
            made["spec"] = {"volumes": volumes, "nodeName": "a"}
            yield made


def test_what_looks_the_same_is_observed_the_same():
    told = {}
    for made, conditions in itertools.product(_pods(), ENDS):
        given = job(conditions=conditions)
        observed = replace(observe(given, made), started_at="")
        assert told.setdefault((seen(given), seen(made)), observed) == observed
    assert len(told) > 300


def test_a_pod_on_its_way_is_no_news():
    bare = pod(phase="Pending")
    bare["spec"] = {}
    creating = pod(CREATING, CREATING, phase="Pending", conditions=[condition("PodScheduled")])
    creating["spec"] = {"nodeName": "a", "volumes": [{"name": "s", "secret": {}}]}
    assert seen(bare) == seen(creating) == NOTHING_SEEN
    assert seen(job()) == NOTHING_SEEN


@pytest.mark.parametrize("kind", ["ADDED", "MODIFIED"])
def test_news_are_told_once(kind):
    made = pod(RUNNING)
    made["metadata"]["uid"] = "1"
    made["spec"] = {}
    known = {}
    assert _news({"type": kind, "object": made}, known)
    again = copy.deepcopy(made)
    again["status"]["podIP"] = "10.0.0.1"
    assert not _news({"type": kind, "object": again}, known)
    again["metadata"]["deletionTimestamp"] = "now"
    assert _news({"type": kind, "object": again}, known)
    assert _news({"type": "DELETED", "object": again}, known)
    assert known == {}
