"""A project in a repository of its own, and the command run as a user would."""

import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parent))

from projects import Result, make_repo

from conveyor.cli import main


@pytest.fixture
def repo(tmp_path):
    return make_repo(tmp_path / "repo")


@pytest.fixture
def other_repo(tmp_path):
    return make_repo(tmp_path / "other")


@pytest.fixture
def conveyor(capfd, repo):
    """Runs the command on the repository."""

    def run(command: str, *args: str) -> Result:
        capfd.readouterr()
        code = main.run([command, *(() if "--git" in args else ("--git", str(repo.path))), *args])
        captured = capfd.readouterr()
        return Result(code, captured.out, captured.err)

    return run
