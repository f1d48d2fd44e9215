"""Exit codes and what is said on stderr."""

import subprocess
import sys

import pytest

from conveyor.api.errors import NotYet, UserError
from conveyor.api.names import Reason
from conveyor.cli import main, plan


@pytest.fixture
def failing(monkeypatch, repo, conveyor):
    """Runs `conveyor plan` so that it ends with an error."""

    def run(error, *args):
        def fail(_):
            raise error

        monkeypatch.setattr(plan, "project_of", lambda *_, **__: fail(None))
        return conveyor("plan", *args)

    return run


def test_the_users_error_is_2(failing):
    result = failing(UserError(Reason.INVALID_SPEC, "werf.yaml:1: \udce9"))
    assert (result.code, result.err) == (2, "Error: werf.yaml:1: \\udce9\n")


def test_what_passes_is_1(failing):
    result = failing(NotYet(Reason.GIT_REMOTE_UNREACHABLE, "git.example.com: no answer", after=1.0))
    assert (result.code, result.err) == (1, "Error: git.example.com: no answer; try again\n")


def test_the_unexpected_is_one_line_and_1(failing):
    result = failing(ValueError("a\nb"))
    assert result.code == 1
    assert result.err == "Error: ValueError: a b (unexpected; --debug shows the traceback)\n"


@pytest.mark.parametrize("command", ["plan", "render"])
def test_a_machine_without_git_is_told_so(conveyor, monkeypatch, command):
    monkeypatch.setenv("PATH", "/nonexistent")
    result = conveyor(command)
    assert (result.code, result.err) == (1, "Error: git is not installed, or not in PATH\n")


def test_debug_shows_the_traceback(failing):
    result = failing(ValueError("a"), "--debug")
    assert result.code == 1
    assert result.err.startswith("Traceback (most recent call last):")


def test_wrong_arguments_are_2(capfd):
    assert main.run(["plan", "--no-such-option"]) == 2
    assert "--no-such-option" in capfd.readouterr().err
    assert main.run(["nothing"]) == 2


@pytest.mark.parametrize("command", ["plan", "render"])
def test_help_teaches_with_examples(capfd, command):
    assert main.run([command, "--help"]) == 0
    out = capfd.readouterr().out
    assert out.count(f"\n    conveyor {command}") >= 3
    assert "Exit codes: 0" in out


def test_the_commands_are_listed(capfd):
    assert main.run(["--help"]) == 0
    out = capfd.readouterr().out
    for line in ("plan ", "render ", "watch ", "crd "):
        assert f"\n  {line}" in out


def test_a_reader_that_has_enough_is_no_defect(repo):
    body = "".join(f"---\nimage: i{n}\nfrom: debian:12\n" for n in range(400))
    repo.commit({"werf.yaml": "project: p\nconfigVersion: 1\n" + body})
    process = subprocess.Popen(  # noqa: S603
        [sys.executable, "-m", "conveyor", "plan", "--git", str(repo.path), "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    with process:
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 1
