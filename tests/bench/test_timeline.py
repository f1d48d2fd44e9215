"""Moments of a Job come from what was seen of that Job alone."""

import asyncio
from pathlib import Path

import pytest
from bench.lab import BenchError, Built
from bench.timeline import timeline
from bench.watching import Seen

START = 1_700_000_000.0
STAMP = "2023-11-14T22:13:2{}Z"
"""One to nine seconds after START."""


def seen(after: float, kind: str, name: str, **rest: object) -> Seen:
    body = {"metadata": {"name": name, "ownerReferences": [{"name": "build"}]}, **rest}
    return Seen(at=START + after, kind=kind, type="ADDED", object=body)


def event(after: float, about: str, reason: str, message: str) -> Seen:
    return seen(
        after, "events", "e", involvedObject={"name": about}, reason=reason, message=message
    )


class Logs:
    """A lab of which only the logs are asked."""

    def __init__(self, *, gone: bool = False) -> None:
        self.gone = gone

    async def log(self, pod: str, container: str) -> list[tuple[str, str]]:
        assert pod == "one-x"
        if self.gone:
            raise BenchError("no such pod")
        if container == "courier":
            return [(STAMP.format("3.25"), "{}")]
        return [(STAMP.format("1.5"), "begin"), (STAMP.format("2.5"), "end")]


BUILT = Built(
    name="build",
    repo="r",
    applied_at=START,
    ready_at=START + 9,
    status={},
    seen=(
        seen(0.0, "jobs", "one"),
        seen(0.1, "pods", "one-x", status={}),
        event(0.2, "one-x", "Scheduled", "assigned"),
        event(0.3, "two-y", "Pulled", "another Job's image"),
        event(0.5, "one-x", "Pulled", "image"),
        event(0.6, "one-x", "Started", "Started container stage"),
        event(0.7, "one-x", "Started", "Started container courier"),
        event(3.75, "build", "StageBuilt", f"app/install: abc-{int(START) * 1000 + 3500}"),
        seen(4.0, "jobs", "two"),
        seen(5.0, "pods", "one-x", status={"phase": "Succeeded"}),
        seen(6.0, "jobs", "one", status={"conditions": [{"type": "Complete", "status": "True"}]}),
    ),
)


def moments(logs: Logs) -> dict[str, float]:
    found = asyncio.run(timeline(logs, BUILT, 0, "app/install:"))  # type: ignore[arg-type]
    return {key: round(value, 3) for key, value in found.items()}


def test_every_moment_has_its_source():
    assert moments(Logs()) == {
        "pod": 0.1,
        "scheduled": 0.2,
        "pulled": 0.5,
        "stage": 0.6,
        "courier": 0.7,
        "script": 1.5,
        "end": 2.5,
        "pushed": 3.25,
        "chosen": 3.5,
        "published": 3.75,
        "next": 4.0,
        "terminated": 5.0,
        "complete": 6.0,
    }


def test_a_pod_that_is_gone_leaves_out_what_only_its_log_told():
    assert not {"script", "end", "pushed"} & moments(Logs(gone=True)).keys()


def test_a_stage_that_was_never_built_is_an_error():
    with pytest.raises(BenchError, match="no Event StageBuilt about app/setup"):
        asyncio.run(timeline(Logs(), BUILT, 0, "app/setup:"))  # type: ignore[arg-type]


def test_the_document_has_the_markers_that_write_replaces(tmp_path: Path, monkeypatch):
    from bench import bench  # noqa: PLC0415 - connects nothing, but imports much

    text = bench.DOCUMENT.read_text()
    assert text.count(bench.BEGIN) == text.count(bench.END) == 1
    copy = tmp_path / "benchmarks.md"
    copy.write_text(f"before\n{bench.BEGIN}\nold\n{bench.END}\nafter\n")
    monkeypatch.setattr(bench, "DOCUMENT", copy)
    bench.write("new")
    assert copy.read_text() == f"before\n{bench.BEGIN}\nnew\n{bench.END}\nafter\n"
