"""Rendering in a real child process, with templates that want too much."""

import re
import sys
import threading
from typing import Any

import pytest

from conveyor.adapters.renderer import Limits, Renderer, RenderingFailed
from conveyor.api.errors import UserError
from conveyor.config.commit import CommitInfo
from conveyor.config.files import MemoryFiles

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
    assert "is not closed" in _refused('{{ .Files.Glob "{a" }}')
    with pytest.raises(UserError, match="not found in the commit"):
        Renderer().render(MemoryFiles(), env={}, environment="", commit=COMMIT)


# Machines under load take their time.
PATIENT = Limits(wall_seconds=120)
HASTY = Limits(wall_seconds=120, cpu_seconds=1)
SMALL = Limits(wall_seconds=120, memory=100 << 20)
LOOP = (
    "{{ range until 1000 }}{{ range until 1000 }}{{ range until 1000 }}{{ end }}{{ end }}{{ end }}"
)
TREE = (
    '{{ define "a" }}{{ if gt . 0 }}\n{{ include "a" (sub . 1) }}{{ include "a" (sub . 1) }}{{ end }}{{ end }}'
    '{{ include "a" 60 }}'
)
GROWING = (
    '{{ define "a" }}{{ include "a" (print . .) }}{{ end }}{{ include "a" "0123456789abcdef" }}'
)
DOUBLED = '{{ $s := "x" }}{{ range until 40 }}{{ $s = print $s $s }}{{ end }}'
NESTED = "{{ $d := list 1 }}{{ range until 50 }}{{ $d = list $d $d }}{{ end }}"
BUSY = "{{ range until 900000 }}{{ $x := repeat 20000 `ab` | upper | sha256sum }}{{ end }}"


@pytest.mark.parametrize(
    "template",
    [
        '{{ repeat 1000000000 "x" }}',
        '{{ repeat 10000 (repeat 10000 (repeat 10 "x")) | len }}',
        '{{ printf "%1000000000d" 1 }}',
        '{{ printf "%*s" 1000000000 "x" }}',
        '{{ nindent 1000000000 "x" }}',
        "{{ untilStep 0 1000000000 1 | len }}",
        "{{ range until 1000000000 }}{{ end }}",
        '{{ replace "a" (repeat 1000 "b") (repeat 1000000 "a") }}',
        "{{ randAlphaNum 1000000000 }}",
        DOUBLED,
        GROWING,
    ],
)
def test_memory_is_limited(template: str) -> None:
    assert _refused("\n" + template, limits=PATIENT) == (
        "werf.yaml:2: the templates need more than 192 MiB of memory; make them do less"
    )


@pytest.mark.parametrize(
    ("template", "line"),
    [
        (BUSY, 2),
        (TREE, 3),
        (NESTED + "{{ toJson $d }}", 2),
        (NESTED + "{{ print $d }}", 2),
        ('{{ range until 900000 }}{{ fromYaml "a: [1, 2, 3]" }}{{ end }}', 2),
        ("{{ uniq (until 100000) }}", 2),
        ('{{ range until 900000 }}{{ derivePassword 1 "long" "a" "b" "c" }}{{ end }}', 2),
    ],
)
def test_processor_time_is_limited(template: str, line: int) -> None:
    message = _refused("\n" + template, limits=HASTY)
    said = ": the templates take more than 1 s of processor time; make them do less"
    assert message in (f"werf.yaml:{number}{said}" for number in (2, line))


def test_the_file_in_templates_directory_is_named() -> None:
    files = {".werf/sub/a.tmpl": "\n" + BUSY, ".werf/b.tmpl": "\n\n" + DOUBLED}
    message = _refused('{{ include "sub/a.tmpl" . }}', files, limits=HASTY)
    assert message.startswith(".werf/sub/a.tmpl:2: the templates take more than 1 s")
    message = _refused('{{ include "b.tmpl" . }}', files, limits=PATIENT)
    assert message.startswith(".werf/b.tmpl:3: the templates need more than 192 MiB")


@pytest.mark.parametrize(
    ("template", "said"),
    [
        (LOOP, "the templates go through more than 1000000 iterations"),
        ("{{ range $i := 1000000000 }}{{ end }}", "the templates go through more than 1000000 it"),
        ('{{ repeat 8000001 "x" }}', "the templates give more than 8000000 characters"),
        ('{{ define "r" }}{{ template "r" . }}{{ end }}{{ template "r" . }}', "includes itself?"),
        ('{{ define "r" }}{{ include "r" . }}{{ end }}{{ include "r" . }}', "includes itself?"),
        ('{{ $s := "{{ tpl .s . }}" }}{{ tpl $s (dict "s" $s) }}', "includes itself?"),
        ('{{ $d := dict }}{{ $_ := set $d "a" $d }}{{ print $d }}', "nested too deeply"),
        ('{{ $d := dict }}{{ $_ := set $d "a" $d }}{{ toYaml $d }}', "at most 64 levels"),
        (NESTED + "{{ toYaml $d }}", "at most 64 levels and 100000 values"),
        ("{{ " + "(" * 5000 + "1" + ")" * 5000 + " }}", "template nesting limit exceeded"),
    ],
)
def test_other_bombs(template: str, said: str) -> None:
    message = _refused("\n" + template, limits=PATIENT)
    assert message.startswith("werf.yaml:2: ")
    assert said in message


def test_a_regular_expression_that_fills_the_memory() -> None:
    message = _refused('{{ regexMatch "((a{1,999}){1,999}){1,999}" "a" }}', limits=PATIENT)
    assert re.match(r"werf\.yaml(:1)?: the templates need more than 192 MiB of memory", message)


@pytest.mark.parametrize(
    "template", ["{{if 1}}" * 60_000 + "{{end}}" * 60_000, "{{ 1 }}" * 140_000]
)
def test_a_template_that_cannot_be_compiled_is_named(template: str) -> None:
    message = _refused('{{ include "a.tmpl" . }}', {".werf/a.tmpl": template}, limits=SMALL)
    assert message.startswith(".werf/a.tmpl: the templates ")


def test_wall_time_is_limited() -> None:
    limits = Limits(wall_seconds=0.5)
    assert "take longer than 0.5 s" in _refused(BUSY, limits=limits)


def test_reading_files_has_a_time_of_its_own() -> None:
    class Slow(MemoryFiles):
        def get(self, path: str) -> Any:
            pause.wait(0.3)
            return super().get(path)

    def render(**limits: Any) -> str:
        files = Slow({"werf.yaml": '{{ .Files.Get "a" }}', "a": "A"})
        renderer = Renderer(limits=Limits(**limits))
        return renderer.render(files, env={}, environment="", commit=COMMIT)

    pause = threading.Event()
    with pytest.raises(UserError) as raised:
        render(files_seconds=0.1)
    assert 'read files for longer than 0.1 s, last "' in raised.value.message
    assert render() == "A"


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
