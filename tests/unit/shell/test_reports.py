"""Couriers' reports over HTTP: who may report, and what is kept."""

# mypy: disable-error-code="no-untyped-def, no-untyped-call, union-attr, arg-type, var-annotated"

import json

import pytest

from conveyor.api.names import Reason
from conveyor.shell.reports import Reports

JOB = ("default", "stage-1-0")


@pytest.fixture
def woken():
    return []


class Couriers(Reports):
    """Reports, and the tokens that the Jobs were given."""

    def token(self, job):
        given = self.__dict__.setdefault("given", {})
        return given.setdefault(job, None) or given.__setitem__(job, self.open(job)) or given[job]


@pytest.fixture
def reports(woken):
    return Couriers(woken.append)


def layer(name):
    return {"digest": f"sha256:{name * 64}", "diffID": f"sha256:{name * 64}", "size": 5}


def text(*runs, **more):
    return json.dumps({"version": 1, "runs": [{"layers": [layer(one)]} for one in runs], **more})


def made(reports, job=JOB):
    return [[x.digest[-1] for x in run.changed] for run in reports.get(job).runs]


def test_a_report_is_kept_and_wakes(reports, woken):
    assert reports.get(JOB) is None
    assert reports.accept(JOB, reports.token(JOB), text("a"))
    assert made(reports) == [["a"]]
    assert woken == [JOB]


@pytest.mark.parametrize("token", ["", "x", "é", "\x00", "\udcff", "ü" * 10_000])
def test_a_wrong_token_is_refused(reports, woken, token):
    assert not reports.accept(JOB, token, text("a"))
    assert reports.get(JOB) is None
    assert woken == []


def test_tokens_are_of_one_job_and_one_process(reports):
    other = ("default", "stage-1-1")
    tokens = {reports.token(job) for job in (JOB, other, ("other", JOB[1]))}
    assert len(tokens) == 3
    assert not reports.accept(other, reports.token(JOB), text("a"))
    assert Reports(print).open(JOB) != reports.token(JOB)


def test_a_job_of_the_same_name_starts_anew(reports, woken):
    """A Job that is gone leaves its name to another: neither its token nor its results are taken over."""
    former = reports.token(JOB)
    assert reports.accept(JOB, former, text("a"))
    token = reports.open(JOB)
    assert reports.get(JOB) is None
    assert not reports.accept(JOB, former, text("a"))
    assert reports.accept(JOB, token, text("b"))
    assert made(reports) == [["b"]]


@pytest.mark.parametrize("nonsense", ["", "[]", "{", '{"runs": 1}', "[" * 100_000, "1e999"])
def test_what_is_no_report_is_refused(reports, woken, nonsense):
    assert not reports.accept(JOB, reports.token(JOB), nonsense)
    assert woken == []


def test_reports_add_up(reports):
    token = reports.token(JOB)
    failure = {"reason": "CommandFailed", "message": "exit status 2", "exitCode": 2}
    assert reports.accept(JOB, token, text("a"))
    assert reports.accept(JOB, token, text("a", "b", exports={"e0": layer("e")}))
    assert reports.accept(JOB, token, text("a"))
    assert made(reports) == [["a"], ["b"]]
    assert reports.accept(JOB, token, text(exports={"e1": layer("f")}, failure=failure))
    known = reports.get(JOB)
    assert sorted(known.exports) == ["e0", "e1"]
    assert known.failure.reason is Reason.STAGE_FAILED
    assert made(reports) == [["a"], ["b"]]
    assert reports.accept(JOB, token, text("a", "b", "c"))
    assert reports.get(JOB).failure.exit_code == 2


def test_memory_is_bounded(reports):
    for number in range(5000):
        job = ("default", f"stage-{number}")
        assert reports.accept(job, reports.token(job), text("a"))
    assert reports.get(("default", "stage-0")) is None
    assert reports.get(("default", "stage-4999")) is not None


def test_whoever_comes_second_to_a_name_leaves_the_first_ones_courier_alone():
    reports = Reports(lambda _: None)
    first = reports.open(JOB)
    assert reports.accept(JOB, first, text("a"))
    second = reports.open(JOB)
    reports.undo(JOB)
    assert made(reports) == [["a"]]
    assert not reports.accept(JOB, second, text("b"))
    assert reports.accept(JOB, first, text("a", "b"))
    assert made(reports) == [["a"], ["b"]]


def test_a_name_that_nobody_had_is_free_again():
    reports = Reports(lambda _: None)
    token = reports.open(JOB)
    reports.undo(JOB)
    assert not reports.accept(JOB, token, text("a"))
