"""Running a vector: plan, compare, assume that everything is built, go on with the next run."""

import re
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from werf_history import make_repository, trees_of

from conveyor.adapters.answers import GitAnswers
from conveyor.adapters.git_clones import open_local
from conveyor.adapters.git_repo import GitRepo
from conveyor.config.files import MemoryFiles
from conveyor.config.giterminism import check_policy, parse_policy
from conveyor.config.model import WerfConfig
from conveyor.config.parse import parse
from conveyor.config.render import render
from conveyor.plan.answers import (
    Answer,
    BaseImage,
    ImportRecord,
    StageDesc,
    StageDigest,
    StageID,
    StoredImage,
)
from conveyor.plan.assume import assume_built
from conveyor.plan.facts import Facts
from conveyor.plan.model import BuildPlan, PlannedImage, StageState
from conveyor.plan.planner import plan
from conveyor.plan.questions import (
    BaseImageInfo,
    ImageReference,
    ImportChecksum,
    Question,
    StageInfo,
)
from conveyor.plan.staged import staged_version

MAX_ROUNDS = 40
REGISTRY = "127.0.0.1:5055/cases"


@dataclass
class Replay:
    """One vector being replayed against a storage that starts empty."""

    vector: Mapping[str, Any]
    repo: GitRepo
    remotes: Mapping[str, Path]
    stored: dict[StageID, StageDesc] = field(default_factory=dict)
    rounds: list[int] = field(default_factory=list)

    @classmethod
    async def start(cls, vector: Mapping[str, Any], directory: Path) -> "Replay":
        own = directory / "own.git"
        make_repository(own, vector["commits"], {"refs/heads/main": len(vector["commits"]) - 1})
        remotes: dict[str, Path] = {}
        for name, remote in vector.get("remotes", {}).items():
            remotes[name] = directory / name.replace("/", "-")
            refs = {f"refs/heads/{k}": v for k, v in remote.get("branches", {}).items()}
            refs |= {f"refs/tags/{k}": v for k, v in remote.get("tags", {}).items()}
            make_repository(remotes[name], remote["commits"], refs)
        return cls(vector, await open_local(own), remotes)

    async def config(self, run: Mapping[str, Any]) -> WerfConfig:
        """Render and parse the config of the run's commit."""
        commit = self.vector["commits"][run["commit"]]
        directory = self.vector.get("dir", "")
        tree = trees_of(self.vector["commits"])[run["commit"]]
        prefix = f"{directory}/" if directory else ""
        files = MemoryFiles(
            {
                path.removeprefix(prefix): content.decode("utf-8", "surrogateescape")
                for path, (_, content) in tree.items()
                if path.startswith(prefix)
            }
        )
        flags = run["args"].get("flags", [])
        text = render(
            files,
            env=run["args"].get("env", {}),
            environment=flags[flags.index("--env") + 1] if "--env" in flags else "",
            commit=await self.repo.about(commit["sha"]),
        )
        config = parse(text, project_dir=directory)
        check_policy(config, parse_policy(files.get("werf-giterminism.yaml")))
        return config

    async def plan(self, run: Mapping[str, Any]) -> BuildPlan:
        """Plan one run; import checksums and references are those that its labels and `refs` tell."""
        config = await self.config(run)
        answers: dict[Question, Answer] = {}
        git = GitAnswers(self.repo, self._open_remote)
        for _ in range(MAX_ROUNDS):
            result = plan(config, self._facts(run, answers))
            if isinstance(result, frozenset):
                for question in result:
                    answers[question] = await self._answer(git, question)
                continue
            learned = _import_records(result, run) | _references(result, run)
            if learned.items() <= answers.items():
                return result
            answers |= learned
        raise AssertionError("no end of questions")

    def build(self, result: BuildPlan, run: Mapping[str, Any], *, timestamp: int) -> None:
        """Store what the plan builds, but for stages that failed to build when the vector was made."""
        failed = {tuple(name.rsplit("/", 1)) for name in run.get("unstored", ())}
        lost = {
            stage.digest
            for image in result.images
            for stage in image.stages
            if (image.name, stage.name) in failed
        }
        for stage in assume_built(result, timestamp=timestamp):
            if stage.id.digest not in lost:
                self.stored[stage.id] = stage

    async def commits(self) -> AsyncIterator[BuildPlan]:
        """Plan the commits of a vector one after another, each as if those before had been built."""
        for number, run in enumerate(self.vector["runs"]):
            result = await self.plan(run)
            yield result
            self.build(result, run, timestamp=1_700_000_000_000 + number)

    def labels(self, image: PlannedImage) -> Mapping[str, str]:
        """Return the labels of an image's last stage, which is stored."""
        last = image.stages[-1]
        return last.stored.labels if last.stored else self._newest(last.digest).labels

    def _newest(self, digest: StageDigest | None) -> StageDesc:
        return max(
            (stage for stage in self.stored.values() if stage.id.digest == digest),
            key=lambda stage: stage.id.timestamp,
        )

    def _facts(self, run: Mapping[str, Any], answers: Mapping[Question, Answer]) -> Facts:
        stages: dict[Any, tuple[int, ...]] = {}
        for stage_id in sorted(self.stored):
            stages[stage_id.digest] = (*stages.get(stage_id.digest, ()), stage_id.timestamp)
        sha = self.vector["commits"][run["commit"]]["sha"]
        return Facts(
            commit=sha,
            stages=stages,
            answers=dict(answers),
            repo=f"{REGISTRY}/{self.vector['name']}",
            staged_version=staged_version(run["args"].get("env", {})),
            virtual_merge="--virtual-merge" in run["args"].get("flags", []),
        )

    async def _answer(self, git: GitAnswers, question: Question) -> Answer:
        match question:
            case StageInfo():
                return self.stored.get(question.id)
            case ImportChecksum():
                return None
            case BaseImageInfo():
                about = self.vector["base_images"].get(question.reference, "")
                ids = dict(re.findall(r"(image id|manifest) (sha256:\w+)", about))
                digest = ids.get("manifest", f"sha256:{'0' * 64}")
                return BaseImage(
                    digest=digest, config={"Env": base_env(about)}, id=ids.get("image id", "")
                )
            case _:
                return await git.answer(question)

    async def _open_remote(self, url: str) -> GitRepo:
        for name, path in self.remotes.items():
            if name in url:
                return await open_local(path)
        raise AssertionError(url)


def history(directory: Path, *changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return a vector without expectations: one commit after another with these files, one run for each."""
    commits = [
        {
            "message": f"commit {number}",
            "author": "Dev <dev@example.org>",
            "date": f"2024-01-01T00:00:0{number}Z",
            "parents": [number - 1] if number else [],
            "files": files,
        }
        for number, files in enumerate(changes)
    ]
    ids = make_repository(directory / "history.git", commits, {})
    told = [commit | {"sha": sha} for commit, sha in zip(commits, ids, strict=True)]
    runs = [{"commit": number, "args": {}, "images": {}} for number in range(len(commits))]
    return {"name": "own", "commits": told, "base_images": {}, "runs": runs}


def base_env(about: str) -> list[str]:
    """Return the environment that a vector's text about a base image tells."""
    found = re.search(r"Env (.+?);", about)
    path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    return found[1].replace("PATH=(same)", path).split(", ") if found else []


def seen(result: BuildPlan, names: Mapping[str, Any]) -> dict[str, list[dict[str, Any]]]:
    """Return the plan in the form of a vector's expectation."""
    return {
        name: [
            {
                "name": stage.name,
                "digest": stage.digest,
                "cached": stage.state is StageState.CACHED,
            }
            for stage in result.image(name).stages
        ]
        for name in names
    }


def _import_records(result: BuildPlan, run: Mapping[str, Any]) -> dict[Question, Answer]:
    """Return the checksums of imports that the plan waits for and the run's labels tell."""
    records: dict[Question, Answer] = {}
    for image in result.images:
        told = run["images"].get(image.name, {}).get("labels") or {}
        for item in (item for stage in image.stages for item in stage.work.imports):
            checksum = told.get(f"werf-import-checksum-{item.import_id}")
            if item.source_id and checksum:
                source = "" if item.import_.external else item.source
                key = ImportChecksum(id=item.source_id, source_image=source)
                records[key] = ImportRecord(checksum=checksum, source_stage_id=f"{'0' * 56}-1")
    return records


def _references(result: BuildPlan, run: Mapping[str, Any]) -> dict[Question, Answer]:
    """Return the references that stages wait for, as they were when the vector was made."""
    found: dict[Question, Answer] = {}
    for question in (stage.question for image in result.images for stage in image.stages):
        if isinstance(question, ImageReference) and question.image in run.get("refs", {}):
            found[question] = StoredImage(
                reference=run["refs"][question.image],
                digest=f"sha256:{1:064}",
                id=f"sha256:{2:064}",
            )
    return found
