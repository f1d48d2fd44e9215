import subprocess
import sys
from typing import Any

import pytest

from conveyor.api.errors import UserError
from conveyor.config.commit import CommitInfo
from conveyor.config.files import MemoryFiles
from conveyor.config.render import render

COMMIT = CommitInfo(hash="ab" * 20, date=1_600_000_000)
POLICY = (
    "giterminismConfigVersion: 1\nconfig:\n  goTemplateRendering:\n    allowEnvVariables: [CI_X]\n"
)


def _render(
    template: str, files: Any = None, *, env: Any = None, environment: str = "", now: Any = None
) -> Any:
    texts = {"werf.yaml": template, **(files or {})}
    return render(
        MemoryFiles(texts), env=env or {}, environment=environment, commit=COMMIT, now=now
    )


def _refused(template: str, files: Any = None, **options: Any) -> Any:
    with pytest.raises(UserError) as raised:
        _render(template, files, **options)
    assert raised.value.reason == "InvalidWerfConfig"
    return raised.value.message


def test_without_actions_the_text_is_returned_as_it_is() -> None:
    assert _render("a: }} b\n", {".werf/fine.tmpl": "{{ .Env }}"}) == "a: }} b\n"


def test_a_broken_template_is_an_error_even_if_nothing_uses_it() -> None:
    with pytest.raises(UserError, match=r"^\.werf/broken\.tmpl:2: "):
        _render("a: b\n", {".werf/broken.tmpl": "\n{{ if"})


def test_importing_the_module_does_not_import_the_engine() -> None:
    code = "import sys, conveyor.config.render, conveyor.config.parse; sys.exit('gotpl' in sys.modules)"
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, check=False, env={"PYTHONPATH": ":".join(sys.path)})  # noqa: S603
    assert done.returncode == 0


def test_data() -> None:
    template = (
        "{{ .Env }}|{{ .Commit.Hash }}|{{ .Commit.Date.Unix }}|{{ .Commit.Date.Human }}|{{ .Nope }}"
    )
    assert _render(template, environment="prod") == (
        f"prod|{'ab' * 20}|1600000000|2020-09-13 12:26:40 +0000 +0000|<no value>"
    )


def test_now_is_the_commit_date_unless_it_is_given() -> None:
    template = '{{ now | date "2006-01-02" }} {{ (now).Year }} {{ (now).Month }} {{ (now).Unix }}'
    assert _render(template) == "2020-09-13 2020 September 1600000000"
    assert _render(template, now=0) == "1970-01-01 1970 January 0"


def test_times_have_methods() -> None:
    template = (
        '{{ $t := toDate "2006-01-02 15:04:05" "2021-03-04 05:06:07" }}'
        '{{ $t.Day }} {{ $t.Hour }} {{ $t.Minute }} {{ $t.Second }} {{ $t.Weekday }} {{ $t.YearDay }} {{ $t.Format "06" }}'
    )
    assert _render(template) == "4 5 6 7 Thursday 63 21"


def test_files() -> None:
    files = {"VERSION": "1.2\n", "conf/a.ini": "A", "conf/x/b.ini": "B", "conf/c.txt": "C"}
    template = (
        '{{ .Files.Get "VERSION" | trim }} {{ range $p, $c := .Files.Glob "conf/**/*.ini" }}{{ $p }}={{ $c }};{{ end }}'
        ' {{ .Files.Exists "conf" }} {{ .Files.Exists "nope" }} {{ .Files.IsDir "conf/x" }} {{ .Files.IsDir "VERSION" }}'
        ' {{ .Files.Glob "nope/*" | len }}'
    )
    assert _render(template, files) == "1.2 conf/a.ini=A;conf/x/b.ini=B; true false true false 0"


def test_templates_directory_include_and_tpl() -> None:
    files = {
        ".werf/parts.tmpl": '{{ define "shell" }}<{{ .n }}>{{ end }}',
        ".werf/sub/a.tmpl": 'file {{ template "shell" . }}',
        ".werf/not-a-template.txt": "{{ broken",
    }
    template = (
        '{{ include "shell" (dict "n" 1) }} {{ include "sub/a.tmpl" (dict "n" 2) | upper }} '
        '{{ tpl "{{ .x }} {{ include \\"shell\\" (dict \\"n\\" 3) }}" (dict "x" "y") }}'
    )
    assert _render(template, files) == "<1> FILE <2> y <3>"


def test_defines_of_the_config_win() -> None:
    template = '{{ define "x" }}mine{{ end }}{{ include "x" . }}'
    assert _render(template, {".werf/x.tmpl": '{{ define "x" }}theirs{{ end }}'}) == "mine"


def test_missing_key_and_nil_like_go() -> None:
    assert _render("{{ .a.b }}{{ print .a }}") == "<no value><nil>"
    assert _render('{{ printf "%v %s" .a nil }}|{{ println .a 1 }}') == "<nil> %!s(<nil>)|<nil> 1\n"
    assert _render('{{ print 1 2 "a" 3 }}') == "1 2a3"


def test_no_match_of_a_regular_expression_is_an_empty_list() -> None:
    template = '{{ $a := regexFindAll "x" "y" -1 }}{{ $b := mustRegexFindAll "x" "y" -1 }}{{ $a }}{{ len $b }}'
    assert _render(template) == "[]0"
    assert _render('{{ regexFindAll "[a-c]" "abx" -1 }}') == "[a b]"


def test_a_pipe_at_the_end_is_no_mistake_as_in_go() -> None:
    assert _render('{{ "a" | }}{{ .nope | }}') == "a<no value>"


@pytest.mark.parametrize(
    ("template", "env", "wanted"),
    [
        ('{{ env "CI_X" "d" }}', {}, "d"),
        ('{{ env "CI_X" "d" }}', {"CI_X": "v"}, "v"),
        ('{{ env "CI_X" "d" }}', {"CI_X": ""}, "d"),
        ('{{ env "CI_X" }}.', {"CI_X": ""}, "."),
    ],
)
def test_env(template: str, env: Any, wanted: Any) -> None:
    assert _render(template, {"werf-giterminism.yaml": POLICY}, env=env) == wanted


@pytest.mark.parametrize(
    ("template", "said"),
    [
        ('{{ env "CI_X" }}', 'the environment variable "CI_X" is not set and has no default'),
        (
            '{{ env "HOME" "d" }}',
            "is not allowed; add it to config.goTemplateRendering.allowEnvVariables",
        ),
        ('{{ env "CI_X" "a" "b" }}', "env takes one default at most"),
    ],
)
def test_env_refused(template: str, said: str) -> None:
    message = _refused("\n" + template, {"werf-giterminism.yaml": POLICY}, env={"HOME": "/root"})
    assert message.startswith("werf.yaml:2: ")
    assert said in message


def test_env_without_permission_fails_even_if_set() -> None:
    assert "is not allowed" in _refused('{{ env "CI_X" "d" }}', env={"CI_X": "v"})


@pytest.mark.parametrize(
    ("template", "said"),
    [
        ("a\n{{ if }}", "werf.yaml:2: missing value for command"),
        ("a\n\n{{ nope }}", "werf.yaml:3: function 'nope' not defined"),
        (
            '{{ include "nope" . }}',
            "werf.yaml:1: function 'include' failed: there is no template \"nope\"",
        ),
        ('{{ required "need it" .x }}', "werf.yaml:1: function 'required' failed: need it"),
        ('{{ required "need it" "" }}', "need it"),
        ('{{ .Files.Get "nope" }}', 'the file "nope" is not in the commit'),
        ('{{ .Files.Glob "{a" }}', "a '{' is not closed"),
        ('\n{{ include "bad.tmpl" . }}', ".werf/bad.tmpl:2: "),
        ('{{ fromYaml "- a" }}', "fromYaml reads a mapping"),
        ('{{ fromYaml "a: [" }}', "line 2: not valid YAML"),
        ("{{ len .nope }}", "function 'len' failed: a missing value has no length"),
        ('{{ getHostByName "example.org" }}', "must not depend on name resolution"),
        ('{{ expandenv "$HOME" }}', "'expandenv' not defined"),
        ("{{ .Env.x }}", "not allowed"),
        ("{{ .Files.__class__ }}", "not allowed"),
        ("{{ .Files.get }}", "not allowed"),
        ('{{ $m := "{0.__class__}" }}{{ $m.format .Files }}', "not allowed"),
        ('{{ define "r" }}{{ include "r" . }}{{ end }}{{ include "r" . }}', "includes itself"),
        ('{{ define "r" }}{{ template "r" . }}{{ end }}{{ template "r" . }}', "includes itself"),
        (
            "{{ range until 1000 }}{{ range until 1000 }}{{ range until 9 }}{{ end }}{{ end }}{{ end }}",
            "go through more than 1000000 iterations",
        ),
        ("{{ " + "(" * 5000 + "1" + ")" * 5000 + " }}", "nesting limit"),
    ],
)
def test_refused(template: str, said: str) -> None:
    message = _refused(template, {".werf/bad.tmpl": 'fine\n{{ fail "boo" }}'})
    assert said in message
    assert len(message) < 2100


def test_a_broken_template_file_is_named() -> None:
    message = _refused("{{ .Env }}", {".werf/a.tmpl": "fine", ".werf/sub/b.tmpl": "x\n{{ if }}"})
    assert message.startswith(".werf/sub/b.tmpl:2: ")


def test_a_missing_config_and_the_other_name() -> None:
    with pytest.raises(UserError, match=r"werf.yaml: not found in the commit"):
        render(MemoryFiles(), env={}, environment="", commit=COMMIT)
    files = MemoryFiles({"werf.yml": "other", "ci/w.yaml": "third"})
    assert render(files, env={}, environment="", commit=COMMIT) == "other"
    assert render(files, config_path="ci/w.yaml", env={}, environment="", commit=COMMIT) == "third"


def test_a_config_that_is_too_large() -> None:
    assert "4000000 are allowed in one config" in _refused("x" * 4_000_001)
    assert "1000000 are allowed with templates in it" in _refused("{{ 1 }}" + "x" * 1_000_000)
    message = _refused("{{ 1 }}", {".werf/a.tmpl": "x" * 1_000_001})
    assert message.startswith(".werf/a.tmpl: has 1000001 characters")


@pytest.mark.parametrize(
    ("template", "wanted"),
    [
        ('{{ (fromYaml "a: {b: [1, yes, x]}").a.b }}', "[1 true x]"),
        ('{{ fromYaml "" }}', "map[]"),
        (
            '{{ toYaml (dict "b" (list "1" "x" "yes" "a: b") "a" 1.5 "c" .nope "d" "m\\nn\\n") }}',
            'a: 1.5\nb:\n- "1"\n- x\n- "yes"\n- \'a: b\'\nc: null\nd: |\n  m\n  n',
        ),
        ('{{ toYaml "text" }}', "text"),
        ('{{ toYaml (list "2020-01-02" 3 "3" true) }}', '- 2020-01-02\n- 3\n- "3"\n- true'),
        ('{{ dump_debug .Env }}|{{ printf_debug "%d" 3 }}', "|3"),
    ],
)
def test_yaml_functions_and_debug_twins(template: str, wanted: Any) -> None:
    assert _render(template) == wanted
