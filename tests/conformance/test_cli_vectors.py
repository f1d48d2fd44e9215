"""The command line says of every vector what werf said: exit code, images, stages, digests, what is found."""

import json

import pytest
from cli_replay import CliReplay, in_a_process, seen
from test_vectors import NAMES, NOT_YET, load, merge_undetermined

from conveyor.cli import main


@pytest.fixture
def in_this_process(capfd, monkeypatch):
    def run(args, env):
        for name, value in env.items():
            monkeypatch.setenv(name, value)
        code = main.run(args)
        captured = capfd.readouterr()
        for name in env:
            monkeypatch.delenv(name)
        return code, captured.out, captured.err

    return run


def check(vector, directory, run_command):
    replay = CliReplay.start(vector, directory, run_command)
    for number, run in enumerate(vector["runs"]):
        code, out, err = replay.plan(run)
        if run["error"]:
            assert code == 2, f"run {number}: {out}"
            assert err.startswith("Error: "), err
            continue
        assert code == 0, f"run {number}: {err}"
        expected = {image: told["stages"] for image, told in run["images"].items()}
        found = seen(out, expected)
        assert found == merge_undetermined(expected, found), f"run {number}"
        names = {image["name"] for image in json.loads(out)["images"]}
        assert names == set(run["images"]), f"run {number}"


@pytest.mark.parametrize("name", [name for name in NAMES if name not in NOT_YET])
def test_vector(name, tmp_path, in_this_process):
    check(load(name), tmp_path, in_this_process)


@pytest.mark.parametrize("name", ["templates", "import-buckets", "git-remote", "error-unknown-key"])
def test_vector_in_processes_of_their_own(name, tmp_path):
    check(load(name), tmp_path, in_a_process)
