"""Rendering in a real child process, with templates that want too much."""

import sys
import threading
from typing import Any

import pytest

from conveyor.adapters.renderer import Limits, Renderer, RenderingFailed
from conveyor.api.errors import UserError
from conveyor.config.files import MemoryFiles
from conveyor.config.render import CommitInfo

COMMIT = CommitInfo(hash="0" * 40, date=0)


def _render(template: str, files: Any = None, *, env: Any = None, limits: Any = None) -> Any:
    return Renderer(limits=limits or Limits()).render(
        MemoryFiles({"werf.yaml": template, **(files or {})}),
        env=env or {},
        environment="dev",
        commit=COMMIT,
    )


def _refused(template: str, files: Any = None, **options: Any) -> Any:
    with pytest.raises(UserError) as raised:
        _render(template, files, **options)
    assert raised.value.reason == "InvalidWerfConfig"
    return raised.value.message


def test_without_templates_no_child_is_needed() -> None:
    assert _render("plain", limits=Limits(memory=1)) == "plain"


def test_everything_reaches_the_child_and_comes_back() -> None:
    template = (
        '{{ .Env }} {{ include "x.tmpl" . }} {{ .Files.Get "привет" }} {{ .Files.Exists "a" }} {{ .Files.IsDir "d" }}'
        ' {{ .Files.Glob "d/*" }} {{ env "CI_X" }}'
    )
    files = {
        ".werf/x.tmpl": "{{ .Commit.Date.Unix }}",
        "привет": "мир\n",
        "d/f": "F",
        "werf-giterminism.yaml": "giterminismConfigVersion: 1\nconfig: {goTemplateRendering: {allowEnvVariables: [CI_X]}}",
    }
    assert _render(template, files, env={"CI_X": "x"}) == "dev 0 мир\n false true map[d/f:F] x"


def test_errors_come_back() -> None:
    assert _refused('\n{{ fail "no" }}').startswith("werf.yaml:2: ")
    assert "without its" in _refused('{{ .Files.Glob "{a" }}')
    with pytest.raises(UserError, match="not found in the commit"):
        Renderer().render(MemoryFiles(), env={}, environment="", commit=COMMIT)


@pytest.mark.parametrize(
    "template", ['{{ repeat 2000000000 "x" }}', "{{ untilStep 0 200000000 1 | len }}"]
)
def test_memory_is_limited(template: str) -> None:
    assert "need more than 512 MiB of memory" in _refused(template)


def test_processor_time_is_limited() -> None:
    busy = '{{ range until 900000 }}{{ $x := repeat 20000 "ab" | upper | sha256sum }}{{ end }}'
    assert "take more than 1 s of processor time" in _refused(busy, limits=Limits(cpu_seconds=1))


def test_wall_time_is_limited() -> None:
    class Slow(MemoryFiles):
        def exists(self, path: str) -> Any:
            pause.wait(1)
            return False

    pause = threading.Event()
    with pytest.raises(UserError) as raised:
        Renderer(limits=Limits(wall_seconds=0.3)).render(
            Slow({"werf.yaml": '{{ .Files.Exists "a" }}'}), env={}, environment="", commit=COMMIT
        )
    assert "take longer than 0.3 s" in raised.value.message


def test_files_and_questions_are_limited() -> None:
    limits = Limits(file_bytes=100, questions=5)
    assert "more than 100 characters" in _refused(
        '{{ .Files.Get "a" }}', {"a": "x" * 101}, limits=limits
    )
    assert "more than 5 times" in _refused(
        '{{ range until 9 }}{{ $.Files.Exists "a" }}{{ end }}', limits=limits
    )


def test_a_child_that_cannot_start_is_not_the_users_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(RenderingFailed) as raised:
        _render("{{ 1 }}", limits=Limits())
    assert "ended with 1" in str(raised.value)


def test_the_child_gets_no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PASSED_ON", "x")
    policy = (
        "giterminismConfigVersion: 1\nconfig: {goTemplateRendering: {allowEnvVariables: [/.*/]}}"
    )
    assert _render('{{ env "PASSED_ON" "none" }}', {"werf-giterminism.yaml": policy}) == "none"
