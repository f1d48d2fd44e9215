"""Conformance cases of the rules for git mappings: section 8, every test with its case's number in its name.

A real repository, the planner, the program that makes archives and the one that puts them in place. Where werf's two backends
differ (8.4) Conveyor does as buildah does; where `git apply` fails (8.5) the commit wins, as docs/limits.md says.
"""

import io
import json
import os
import tarfile
from pathlib import Path

import pytest
from werf_history import run_git

from conveyor.adapters.answers import GitAnswers
from conveyor.adapters.git_clones import open_local
from conveyor.builder.courier_inputs import GitArchive, GitPatch
from conveyor.builder.courier_task import Limits
from conveyor.builder.inputs_archive import write_archive, write_patch
from conveyor.builder.inputs_git import GitStore
from conveyor.builder.processes import Runner
from conveyor.builder.rootfs import Rootfs
from conveyor.builder.steps import Workplace
from conveyor.config.parse import parse
from conveyor.plan.assume import assume_built
from conveyor.plan.facts import Facts
from conveyor.plan.model import BuildPlan, PlannedImage
from conveyor.plan.paths import PathMatcher
from conveyor.plan.planner import plan
from conveyor.plan.questions import StageInfo

META = "configVersion: 1\nproject: shop\n---\nimage: a\nfrom: x:1\n"
COMMANDS = "shell: {setup: make}\n"


class Place:
    """A repository, a storage of stages, and a root filesystem that a mapping at /app is brought to."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.work, self.root = folder / "work", folder / "root"
        self.work.mkdir()
        self.root.mkdir()
        self.stored = {}
        self.git("init", "--quiet", "--bare", "--initial-branch=main", str(folder / "repo.git"))
        self.git("init", "--quiet", "--initial-branch=main", str(self.work))

    def git(self, *arguments):
        who = ("-c", "user.name=t", "-c", "user.email=t@example.org")
        return run_git("-C", str(self.work), *who, *arguments).strip()

    def commit(self, **files):
        """Commit files (text, bytes, or None to remove) below src/; pushes."""
        for name, content in files.items():
            path = self.work / "src" / name.replace("__", "/")
            path.parent.mkdir(parents=True, exist_ok=True)
            if content is None:
                path.unlink()
            else:
                path.write_bytes(content if isinstance(content, bytes) else content.encode())
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "--message", "x")
        self.git("push", "--quiet", str(self.folder / "repo.git"), "HEAD:main")
        return self.git("rev-parse", "HEAD")

    async def plan(self, commit, text):
        """Plan an image; the stages of earlier plans are those that were built."""
        answers = {}
        git = GitAnswers(await open_local(self.work), open_local)
        stages = {}
        for stage_id in sorted(self.stored):
            stages.setdefault(stage_id.digest, []).append(stage_id.timestamp)
        while True:
            facts = Facts(
                commit=commit, stages={k: tuple(v) for k, v in stages.items()}, answers=answers
            )
            result = plan(parse(META + text), facts)
            if isinstance(result, BuildPlan):
                return result.image("a").stages
            for question in result:
                if isinstance(question, StageInfo):
                    answers[question] = self.stored[question.id]
                else:
                    answers[question] = await git.answer(question)

    async def build(self, commit, text, timestamp):
        """Plan, and store what the plan builds."""
        stages = await self.plan(commit, text)
        self.stored |= {it.id: it for it in assume_built(_whole(stages), timestamp=timestamp)}
        return stages

    def archive(self, commit):
        """Bring src/ of a commit to /app."""
        item = GitArchive(
            run=0,
            file="x",
            repository=0,
            commit=commit,
            add="src",
            include=(),
            exclude=(),
            to_name=None,
        )
        out = io.BytesIO()
        write_archive(GitStore(self.folder), item, out, Limits())
        self._step("unpack", out.getvalue())
        return out.getvalue()

    def patch(self, before, after):
        """Bring /app from one commit to another."""
        item = GitPatch(
            run=0, file="x", repository=0, start=before, commit=after,
            add="src", include=(), exclude=(), to_name=None,
        )  # fmt: skip
        out = io.BytesIO()
        deleted = write_patch(GitStore(self.folder), item, out, Limits())
        self._step("patch", out.getvalue(), deleted)

    def _step(self, op, data, deleted=()):
        (self.folder / "in.tar").write_bytes(data)
        (self.folder / "in.json").write_text(json.dumps(deleted))
        runner = Runner.__new__(Runner)  # neither step runs a command
        workplace = Workplace(Rootfs(os.fsencode(self.root)), runner, str(self.folder), {})
        workplace.run({"op": op, "file": "in.tar", "deletesFile": "in.json", "to": "/app"}, "0")


def _whole(stages):
    image = PlannedImage(name="a", stages=stages)
    return BuildPlan(project="shop", sets=(("a",),), images=(image,))


@pytest.fixture
def place(tmp_path):
    return Place(tmp_path)


def test_8_1_filters():
    matcher = PathMatcher("", include=["src"])
    assert matcher.matches("src/a/b.txt")
    assert not matcher.matches("srcx/c")
    assert PathMatcher("", include=["dir/*"]).matches("dir/a/b")


async def test_8_2_an_owner_makes_another_mapping(place):
    head = place.commit(f="1")
    mapping = "git: [{add: /src, to: /app%}]\n" + COMMANDS
    before = await place.plan(head, mapping.replace("%", ""))
    after = await place.plan(head, mapping.replace("%", ", owner: app"))
    same = await place.plan(head, mapping.replace("%", ""))
    assert [it.name for it in before] == ["from", "gitArchive", "setup"]
    assert before[0].digest == after[0].digest
    assert before[1].digest != after[1].digest
    assert [it.digest for it in same] == [it.digest for it in before]


async def test_8_3_a_commit_that_the_mapping_excludes(place):
    text = "git: [{add: /src, to: /app, excludePaths: [docs]}]\n" + COMMANDS
    first = place.commit(f="1", docs__d="1")
    built = await place.build(first, text, 1000)
    second = place.commit(docs__d="2")
    stages = await place.plan(second, text)
    assert [(it.name, it.state.value) for it in stages] == [(it.name, "Cached") for it in built], (
        "no gitLatestPatch, although HEAD moved"
    )
    third = place.commit(f="2")
    stages = await place.plan(third, text)
    assert [it.name for it in stages] == ["from", "gitArchive", "setup", "gitLatestPatch"]
    (patch,) = stages[-1].work.patches
    assert patch.from_commit == first, "the stored commit, not the one in between"


def test_8_4_a_binary_file_changes(place):
    first = place.commit(png=bytes(range(256)), text="committed\n", gone="1")
    place.archive(first)
    app = place.root / "app"
    (app / "text").write_text("edited by a stage\n")
    (app / "made").write_text("made by a stage\n")
    place.patch(first, place.commit(png=bytes(range(255, -1, -1)), gone=None))
    assert (app / "png").read_bytes() == bytes(range(255, -1, -1))
    assert (app / "text").read_text() == "edited by a stage\n"
    assert (app / "made").read_text() == "made by a stage\n"
    assert not (app / "gone").exists()


def test_8_5_a_stage_edited_what_the_commit_changes(place):
    """werf: `git apply` ends the stage with exit code 42, unless the edits do not touch."""
    first = place.commit(f="one\n")
    place.archive(first)
    (place.root / "app/f").write_text("edited by a stage\n")
    place.patch(first, place.commit(f="two\n"))
    assert (place.root / "app/f").read_text() == "two\n"


def test_8_6_modes_do_not_depend_on_the_umask(place):
    place.commit(**{"a.sh": "x", "deep__f": "x"})
    (place.work / "src/a.sh").chmod(0o755)
    head = place.commit()
    before = os.umask(0o077)
    try:
        data = place.archive(head)
    finally:
        os.umask(before)
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        modes = {it.name: it.mode for it in tar}
    assert modes == {"a.sh": 0o755, "deep": 0o775, "deep/f": 0o644}
    app = place.root / "app"
    placed = {name: (app / name).stat().st_mode & 0o777 for name in modes}
    assert placed == modes
