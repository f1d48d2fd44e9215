"""A project in a real work tree, which may be dirty: its config and its plan as Conveyor sees them."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from werf_history import run_git

from conveyor.adapters.answers import GitAnswers
from conveyor.adapters.git_clones import open_local
from conveyor.adapters.git_files import GitFiles
from conveyor.adapters.renderer import Renderer
from conveyor.config.commit import CommitInfo
from conveyor.config.giterminism import FILE, check_policy, parse_policy
from conveyor.config.model import WerfConfig
from conveyor.config.parse import parse
from conveyor.plan.answers import Answer, BaseImage
from conveyor.plan.facts import Facts
from conveyor.plan.planner import plan
from conveyor.plan.questions import BaseImageInfo, Question

META = "configVersion: 1\nproject: shop\n---\n"
COMMIT = CommitInfo(hash="ab" * 20, date=0)
MAX_ROUNDS = 30

Digests = dict[str, list[tuple[str, str | None]]]


@dataclass(frozen=True)
class Project:
    """A work tree with one commit."""

    path: Path
    commit: str

    @classmethod
    def make(cls, path: Path, files: Mapping[str, str]) -> "Project":
        """Write the files and commit them."""
        run_git("init", "--quiet", "--initial-branch=main", str(path))
        write(path, files)
        at = ("-C", str(path), "-c", "user.name=Dev", "-c", "user.email=dev@example.org")
        run_git(*at, "add", "--all")
        run_git(*at, "commit", "--quiet", "--allow-empty", "--message=all")
        return cls(path, run_git(*at, "rev-parse", "HEAD").strip())

    async def config(self, env: Mapping[str, str] | None = None) -> WerfConfig:
        """Render, parse and check the commit's config."""
        repo = await open_local(self.path)
        files = await GitFiles.open(repo, self.commit)
        text = await asyncio.to_thread(
            Renderer().render, files, env=env or {}, environment="", commit=COMMIT
        )
        policy = parse_policy(await asyncio.to_thread(files.get, FILE))
        config = parse(text)
        check_policy(config, policy)
        return config

    async def digests(self) -> Digests:
        """Return names and digests of all stages, nothing being built yet."""
        config = await self.config()
        repo = await open_local(self.path)
        git = GitAnswers(repo, open_local)
        answers: dict[Question, Answer] = {}
        for _ in range(MAX_ROUNDS):
            result = plan(config, Facts(commit=self.commit, stages={}, answers=dict(answers)))
            if not isinstance(result, frozenset):
                return {
                    image.name: [(stage.name, stage.digest) for stage in image.stages]
                    for image in result.images
                }
            for question in result:
                answers[question] = await _answer(git, question)
        raise AssertionError("no end of questions")


async def _answer(git: GitAnswers, question: Question) -> Answer:
    if isinstance(question, BaseImageInfo):
        return BaseImage(digest=f"sha256:{'0' * 64}", config={}, id="")
    return await git.answer(question)


def write(path: Path, files: Mapping[str, str]) -> None:
    """Write files of a work tree without committing them."""
    for name, text in files.items():
        target = path / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")
