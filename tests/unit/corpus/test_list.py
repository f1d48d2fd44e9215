"""Cases, recorded results, the list of differences and the page about them belong together."""

from pathlib import Path

import pytest
from tests.corpus import comparison, document
from tests.corpus.cases import case_files, read_cases, write_context
from tests.corpus.comparison import (
    BUILDERS,
    EQUAL,
    REFUSED,
    UNKNOWN,
    read_list,
    read_recorded,
    rows,
)
from tests.corpus.layers import Entry
from tests.corpus.results import Json, Result, differences, from_json, result_of

CASES = read_cases()


def test_there_are_enough() -> None:
    assert len(CASES) >= 240


@pytest.mark.parametrize("builder", BUILDERS)
def test_every_case_is_recorded(builder: str) -> None:
    recorded = read_recorded(builder)
    assert recorded["version"]
    assert recorded["cases"].keys() == CASES.keys()


def test_every_difference_has_a_case_and_a_reason() -> None:
    listed = read_list()
    entries = [("refused", name, it) for name, it in listed["refused"].items()]
    entries += [
        (one, name, it) for name, both in listed["different"].items() for one, it in both.items()
    ]
    assert not {name for _, name, _ in entries} - CASES.keys()
    assert [
        (where, name) for where, name, it in entries if not listed["reasons"].get(it["reason"])
    ] == []
    used = {it["reason"] for _, _, it in entries}
    assert listed["reasons"].keys() - used - {"refused"} == set()


def test_the_page_is_made_of_the_list() -> None:
    assert document.PAGE.read_text() == document.text(read_list()), "run make corpus-update"


def test_a_context_on_disk_is_the_one_in_git(tmp_path: Path) -> None:
    case = CASES["copy-odd-names"]
    write_context(case, tmp_path)
    found = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if not path.is_dir()}
    assert {f"{case.name}/{name}" for name in found} == case_files(case).keys()


def test_results_name_what_is_different() -> None:
    file = Entry(kind="file", mode=0o644, uid=0, gid=0, mtime=2 * 10**9, size=1, sha256="a" * 64)
    moved = Entry(kind="file", mode=0o600, uid=5, gid=6, mtime=7, size=1, sha256="b" * 64)
    base = {
        "etc": Entry(kind="dir", mode=0o755, uid=0, gid=0, mtime=0),
        "etc/a": file,
        "etc/b": file,
    }
    ours = result_of(
        {"Env": ["A=1"], "Labels": {"werf": "x"}}, {"etc": base["etc"], "etc/a": moved}, base
    )
    assert ours.config == {"Env": ["A=1"]}
    assert ours.files == {
        "etc/a": "file 0600 5:6 1 bbbbbbbbbbbbbbbb time 7",
        "etc/b": "gone",
    }
    assert differences(ours, Result(files={"etc/b": "gone"})) == [
        "config.Env: ['A=1'] != None",
        "/etc/a: file 0600 5:6 1 bbbbbbbbbbbbbbbb time 7 != as in base",
    ]
    assert differences(ours, from_json(ours.to_json())) == []


BUILT: Json = {"config": {"Cmd": ["a"]}, "files": {}}
OTHER: Json = {"config": {"Cmd": ["b"]}, "files": {}}
UNKNOWN_FLAG: Json = {"error": "dockerfile parse error line 2: Unknown flag: link"}


def outcome(
    monkeypatch: pytest.MonkeyPatch, ours: Json, theirs: Json, listed: dict[str, dict[str, Json]]
) -> tuple[str, str]:
    """(result, what is wrong) of a case beside BuildKit."""
    whole = {"reasons": {"known": "Because."}, "refused": {}, "different": {}} | listed
    monkeypatch.setattr(comparison, "read_list", lambda: whole)
    monkeypatch.setattr(comparison, "read_recorded", lambda _: {"cases": {"one": theirs}})
    row = next(rows({"one": ours}))
    return row.result, row.wrong


def test_equal_different_and_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    line = "config.Cmd: ['a'] != ['b']"
    entry: Json = {"buildkit": {"reason": "known", "lines": [line]}}
    assert outcome(monkeypatch, BUILT, BUILT, {}) == (EQUAL, "")
    assert "not in differences.json" in outcome(monkeypatch, BUILT, OTHER, {})[1]
    assert outcome(monkeypatch, BUILT, OTHER, {"different": {"one": entry}})[1] == ""
    assert (
        "not true any more" in outcome(monkeypatch, BUILT, BUILT, {"different": {"one": entry}})[1]
    )
    assert (
        "not true any more"
        in outcome(monkeypatch, OTHER, {"error": "x"}, {"different": {"one": entry}})[1]
    )


def test_failures(monkeypatch: pytest.MonkeyPatch) -> None:
    assert outcome(monkeypatch, {"error": "x"}, {"error": "y"}, {}) == (EQUAL, "")
    assert "Conveyor fails: x" in outcome(monkeypatch, {"error": "x"}, BUILT, {})[1]
    assert "the builder fails: y" in outcome(monkeypatch, BUILT, {"error": "y"}, {})[1]
    assert outcome(monkeypatch, BUILT, UNKNOWN_FLAG, {}) == (UNKNOWN, "")


def test_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    listed: dict[str, dict[str, Json]] = {
        "refused": {"one": {"reason": "known", "says": "NotSupported: x"}}
    }
    assert outcome(monkeypatch, {"error": "NotSupported: x"}, BUILT, listed) == (REFUSED, "")
    assert "it is built" in outcome(monkeypatch, BUILT, BUILT, listed)[1]
    assert "now: Other: y" in outcome(monkeypatch, {"error": "Other: y"}, BUILT, listed)[1]
