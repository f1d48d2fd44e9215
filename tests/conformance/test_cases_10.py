"""Conformance cases (10) of werf's semantics: mounts, and how commands run."""

import base64
import os
import subprocess
from pathlib import Path

import pytest

from conveyor.builder import script
from conveyor.builder.rootfs import Rootfs
from conveyor.builder.snapshot import Snapshot
from conveyor.config.parse import parse
from conveyor.jobs.work import needs_pod
from conveyor.plan.facts import Facts
from conveyor.plan.model import BuildPlan
from conveyor.plan.planner import plan

HEAD = "project: p\nconfigVersion: 1\n---\nimage: app\nfrom: debian:12\n"
STAGES = "shell: {beforeInstall: a, install: b, setup: c}\ndocker: {ENV: {A: b}}\n"
MOUNT = "mount: [{fromPath: /c, to: /x}]\n"


def planned(text: str) -> BuildPlan:
    result = plan(parse(text), Facts())
    assert isinstance(result, BuildPlan)
    return result


def run(tmp_path: Path, *commands: str) -> subprocess.CompletedProcess[str]:
    """Run the commands of a stage as its script, by this machine's bash."""
    file = tmp_path / "script.sh"
    file.write_text(script.text(commands, str(tmp_path / "note")))
    return subprocess.run(  # noqa: S603 - our own script
        ["/bin/bash", "-e", str(file)], cwd="/", capture_output=True, text=True, check=False
    )


def payload(argv: list[str]) -> str:
    """The base64 word of a command line."""
    return argv[2].partition("echo ")[2].partition(" |")[0]


def test_case_1_the_seed_example_decodes() -> None:
    argv = script.argv("set -x")
    assert payload(argv) == "c2V0IC14"
    shell = argv[2].replace(script.BASE64, "base64") + "; echo on"
    done = subprocess.run(["/bin/bash", "-ec", shell], capture_output=True, text=True, check=True)  # noqa: S603
    assert (done.stdout, done.stderr) == ("on\n", "+ echo on\n")


def test_case_2_commands_share_one_shell(tmp_path: Path) -> None:
    (tmp_path / "app").mkdir()
    done = run(tmp_path, f"cd {tmp_path}/app", "pwd")
    assert (done.returncode, done.stdout) == (0, f"{tmp_path}/app\n")


def test_case_2_a_failing_command_aborts(tmp_path: Path) -> None:
    done = run(tmp_path, "cd /no/such/directory", "echo not reached")
    assert done.returncode != 0
    assert done.stdout == ""


def test_case_3_the_end_of_a_pipeline_counts(tmp_path: Path) -> None:
    done = run(tmp_path, "false | true", "echo reached")
    assert (done.returncode, done.stdout) == (0, "reached\n")


def test_case_4_from_empties_the_mount_point_and_every_later_stage_mounts_it() -> None:
    first, *rest = planned(HEAD + MOUNT + STAGES).image("app").stages
    assert first.work.emptied == ("/x",)
    assert needs_pod(first)
    assert [mount.to for stage in rest for mount in stage.work.mounts] == ["/x"] * len(rest)


def test_case_4_nothing_below_a_mount_is_captured(tmp_path: Path) -> None:
    (tmp_path / "x").mkdir()
    mounts = [os.fsencode(tmp_path / "x")]
    snapshot = Snapshot(os.fsencode(tmp_path), mounts=mounts)
    snapshot.take()
    snapshot.settle()
    (tmp_path / "x/cached").write_text("not for the image")
    (tmp_path / "beside").write_text("for the image")
    assert [path for path, _ in snapshot.changes()] == [b"beside"]
    Rootfs(os.fsencode(tmp_path), mounts=mounts).empty(os.fsencode(tmp_path))
    assert (tmp_path / "x/cached").exists()


def test_case_5_payload_of_two_service_commands() -> None:
    commands = " && ".join(("/.werf/scripts/aa", "/.werf/shell/script.sh"))
    expected = "Ly53ZXJmL3NjcmlwdHMvYWEgJiYgLy53ZXJmL3NoZWxsL3NjcmlwdC5zaA=="
    assert payload(script.argv(commands)) == expected
    assert base64.b64decode(expected).decode() == commands


@pytest.mark.parametrize(
    "mount", [MOUNT, "mount: [{from: tmp_dir, to: /x}]\n", "mount: [{from: build_dir, to: /x}]\n"]
)
def test_case_6_a_mount_changes_every_digest(mount: str) -> None:
    without = [stage.digest for stage in planned(HEAD + STAGES).image("app").stages]
    with_it = [stage.digest for stage in planned(HEAD + mount + STAGES).image("app").stages]
    assert len(with_it) == len(without) == 5
    assert not set(with_it) & set(without)


def test_case_6_the_order_of_mounts_counts_and_volumes_do_not() -> None:
    one = "mount: [{from: tmp_dir, to: /a}, {from: build_dir, to: /b}]\n"
    other = "mount: [{from: build_dir, to: /b}, {from: tmp_dir, to: /a}]\n"
    assert (
        planned(HEAD + one).image("app").stages[0].digest
        != planned(HEAD + other).image("app").stages[0].digest
    )
