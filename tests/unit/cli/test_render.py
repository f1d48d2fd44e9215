"""`conveyor render`: a commit's config, and files of template cases."""

import json
from pathlib import Path

from projects import META, git

from conveyor.adapters.template_cases import CaseRunner
from conveyor.cli import main

CASES = Path(__file__).parents[2] / "data" / "gotemplate-cases.json"


def test_the_rendered_text_and_nothing_else(repo, conveyor):
    repo.commit(
        {
            "svc/werf.yaml": META
            + 'image: {{ .Env }}\n{{ include "from" . }}\n{{ .Files.Get "a" }}',
            "svc/.werf/from.tmpl": '{{ define "from" }}from: debian{{ end }}',
            "svc/a": "# привет\n",
        }
    )
    result = conveyor("render", "--dir", "svc", "--env", "prod")
    assert result.code == 0
    assert result.out == META + "image: prod\nfrom: debian\n# привет\n"
    assert result.err == ""


def test_bytes_that_are_no_text_come_out_as_they_are(repo, capfdbinary):
    (repo.path / "latin").write_bytes(b"# caf\xe9\n")
    repo.commit({"werf.yaml": '{{ .Files.Get "latin" }}'})
    capfdbinary.readouterr()
    assert main.run(["render", "--git", str(repo.path)]) == 0
    assert capfdbinary.readouterr().out == b"# caf\xe9\n"


def test_another_config_file(repo, conveyor):
    repo.commit({"werf.yaml": "a", "deploy/werf.yaml": "b"})
    assert conveyor("render", "--config", "deploy/werf.yaml").out == "b\n"


def test_an_error_names_file_and_line(repo, conveyor):
    repo.commit({"werf.yaml": META + '{{ fail "no" }}\n'})
    result = conveyor("render")
    assert result.code == 2
    assert result.err.startswith("Error: werf.yaml:4: ")


def test_template_cases_are_answered_as_go_does(conveyor):
    result = conveyor("render", "--template-cases", str(CASES), "--json")
    assert result.code == 0
    cases = json.loads(CASES.read_text())["cases"]
    answers = result.json
    assert len(answers) == len(cases)
    assert all(answer.keys() == {"output", "error"} for answer in answers)
    different = {
        case["template"]
        for case, answer in zip(cases, answers, strict=True)
        if bool(case["error"]) != bool(answer["error"])
        or (not case["error"] and case["output"] != answer["output"])
    }
    assert len(cases) - len(different) >= 300, different


def test_template_cases_as_text(conveyor, tmp_path):
    file = tmp_path / "cases.json"
    cases = [{"template": "{{ .a }}"}, {"template": "{{ if nil }}{{ end }}"}]
    file.write_text(json.dumps({"values": {"a": 1.5}, "cases": cases}))
    result = conveyor("render", "--template-cases", str(file))
    assert result.out == "1.5\nerror: template: x:1: nil is not a command\n"


def test_a_file_that_is_none_is_told_with_its_place(conveyor, tmp_path):
    file = tmp_path / "cases.json"
    file.write_text('{\n"cases": [}')
    result = conveyor("render", "--template-cases", str(file))
    assert result.code == 2
    assert result.err.startswith(f"Error: {file}:2:11: not JSON: ")
    file.write_text('{"cases": [{"template": 1}, {}]}')
    result = conveyor("render", "--template-cases", str(file))
    assert result.err.splitlines() == [
        f"Error: {file}: cases[0].template: has to be a text, not a number",
        f"{file}: cases[1]: `template` is missing",
    ]


def test_json_is_for_cases(conveyor):
    result = conveyor("render", "--json")
    assert result.code == 2
    assert "--json needs --template-cases" in result.err


def test_a_case_that_takes_too_much_does_not_take_the_others_with_it():
    runner = CaseRunner(values={}, now=0, seconds=1.0)
    endless = '{{ range untilStep 0 100000000 1 }}{{ repeat 1000 "x" }}{{ end }}'
    large = '{{ repeat 1000000000 "x" }}'
    answers = list(runner.answers(["a", endless, "b", large, "c"]))
    assert [answer["output"] for answer in answers] == ["a", "", "b", "", "c"]
    assert answers[1]["error"]
    assert answers[3]["error"]


def test_the_time_of_a_commit_is_its_authors(repo, conveyor):
    repo.commit({"werf.yaml": "{{ .Commit.Date.Unix }} {{ .Commit.Date.Human }}\n"})
    git(
        repo.path, "commit", "--quiet", "--amend", "--no-edit", "--date", "2024-05-06T07:08:09-0330"
    )
    assert conveyor("render").out == "1714991889 2024-05-06 07:08:09 -0330 -0330\n"
