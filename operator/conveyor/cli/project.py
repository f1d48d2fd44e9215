"""A project in a local repository: one commit of it, its config, the repositories its config names.

In: what the options of `conveyor render` and `conveyor plan` say. Out: the rendered text, the config, answers of git. Only
commits are read: what lies uncommitted in a work tree does not exist here.
"""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from conveyor.adapters.answers import GitAnswers
from conveyor.adapters.configs import NAMES, ConfigSource, config_name, for_platforms
from conveyor.adapters.git_clones import GitClones, open_local
from conveyor.adapters.git_files import GitFiles
from conveyor.adapters.git_repo import GitRepo
from conveyor.adapters.machine import own_platform
from conveyor.adapters.renderer import Renderer
from conveyor.api.dockerfile_mode import DockerfileMode
from conveyor.api.errors import UserError
from conveyor.api.names import Reason
from conveyor.config.model import WerfConfig
from conveyor.config.paths import clean


@dataclass(frozen=True, slots=True, kw_only=True)
class ProjectOptions:
    """Which project at which commit.

    Attributes:
        git: A repository on disk, bare or with a work tree.
        commit: Any revision that git understands: an id, a branch, a tag, HEAD~2.
        directory: The project directory in the repository, "" for its root.
        config: Path of the config in the project directory, "" for the usual names.
        env: Environment variables; werf-giterminism.yaml says which of them templates may read.
        environment: What `.Env` is in templates.
        platforms: Replace those of every image; () leaves them.
        remotes: Local clone by URL of a remote repository.
        virtual_merge: The commit stands for a merge that is only proposed.
        dockerfile_mode: Which FROM blocks of a Dockerfile are planned.
        build_platform: BUILDPLATFORM of Dockerfiles.
        repo: Name of the stages repository, part of the references that `dependencies` hand over; "" for none.
    """

    git: Path
    commit: str
    directory: str = ""
    config: str = ""
    env: Mapping[str, str] = field(default_factory=dict)
    environment: str = ""
    platforms: tuple[str, ...] = ()
    remotes: Mapping[str, Path] = field(default_factory=dict)
    repo: str = ""
    virtual_merge: bool = False
    dockerfile_mode: DockerfileMode = DockerfileMode.BUILDKIT
    build_platform: str = field(default_factory=own_platform)


@dataclass(frozen=True, slots=True, kw_only=True)
class Project:
    """One commit of a project."""

    repo: GitRepo
    commit: str
    source: ConfigSource
    options: ProjectOptions

    @classmethod
    async def open(cls, options: ProjectOptions) -> "Project":
        """Open the repository and find the commit.

        Raises:
            UserError: There is no such repository, commit or config.
        """
        repo = await open_local(options.git)
        commit = await repo.revision(options.commit)
        directory = _directory(options.directory)
        files = await GitFiles.open(repo, commit, directory)
        source = ConfigSource(
            files=files,
            path=options.config or config_name(files) or _no_config(options, commit, directory),
            commit=await repo.about(commit),
            directory=directory,
            env=options.env,
            environment=options.environment,
        )
        return cls(repo=repo, commit=commit, source=source, options=options)

    async def text(self) -> str:
        """Return the rendered config."""
        return await self.source.text(Renderer())

    async def config(self) -> WerfConfig:
        """Return the config, for the platforms that the options ask for.

        Raises:
            UserError: It is wrong, or describes no image.
        """
        config = await self.source.load(Renderer())
        if not config.images:
            raise UserError(Reason.INVALID_WERF_CONFIG, f"{self.source.path} describes no image")
        return for_platforms(config, self.options.platforms)

    @asynccontextmanager
    async def git_answers(self) -> AsyncIterator[GitAnswers]:
        """Provide answers about the project's repository and the remote ones of the config.

        A remote one without a local clone is cloned by git into a directory that is gone afterwards.
        """
        with TemporaryDirectory(prefix="conveyor-plan-") as directory:
            clones = GitClones(Path(directory))
            local = {_plain(url): path for url, path in self.options.remotes.items()}

            async def open_remote(url: str) -> GitRepo:
                found = local.get(_plain(url))
                return await (clones.open(url) if found is None else open_local(found))

            yield GitAnswers(self.repo, open_remote)


def _directory(text: str) -> str:
    directory = clean(text or ".").strip("/")
    if directory == ".." or directory.startswith("../"):
        raise UserError(Reason.INVALID_SPEC, f"--dir {text}: leads out of the repository")
    return "" if directory == "." else directory


def _no_config(options: ProjectOptions, commit: str, directory: str) -> str:
    where = f"directory {directory!r}" if directory else "the root"
    raise UserError(
        Reason.WERF_CONFIG_NOT_FOUND,
        f"there is no {' or '.join(NAMES)} in {where} of {options.git} at commit {commit}; "
        "commit it, or say where it is with --dir or --config",
    )


def _plain(url: str) -> str:
    return url.rstrip("/").removesuffix(".git")
