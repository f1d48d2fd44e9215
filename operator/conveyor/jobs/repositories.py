"""The git repositories that a Job fetches from.

In: a `JobOrder`, the spec. Out: each repository once, with the Secret for it. A Job is given what its own stages need: a
stage without files from git gets no login, and one that maps a single repository not those of the others.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from conveyor.api.spec import ImageBuildSpec
from conveyor.api.v1alpha1 import LocalRef
from conveyor.config.model import GitMapping
from conveyor.config.remote_source import GitSource
from conveyor.jobs.model import JobOrder
from conveyor.jobs.ssh import SECRETS_PATH
from conveyor.plan.digest import OWN_REPOSITORY
from conveyor.plan.model import BlockStep, StageWork
from conveyor.plan.model_sources import GitPatch


@dataclass(frozen=True, slots=True, kw_only=True)
class Repository:
    """One repository.

    Attributes:
        name: As `GitMapping.repository` has it: `own`, or the URL.
        secret: Its Secret.
        volume: Name of the volume that the Secret is mounted by, "" without one.
    """

    name: str
    url: str
    secret: LocalRef | None = None
    volume: str = ""

    @property
    def path(self) -> str:
        """Where the courier finds the Secret, "" without one."""
        return f"{SECRETS_PATH}/{self.volume}" if self.volume else ""


def repositories(order: JobOrder, spec: ImageBuildSpec) -> tuple[Repository, ...]:
    """Return the repositories in the order in which the stages name them."""
    found: dict[str, Repository] = {}
    for name in _names(order):
        if name not in found:
            found[name] = _repository(name, spec, number=len(found))
    return tuple(found.values())


def changes_files(patch: GitPatch) -> bool:
    """Whether there is anything to fetch; of equal commits only the label is stamped."""
    return patch.from_commit != patch.commit


def _names(order: JobOrder) -> Iterator[str]:
    for stage in order.stages:
        yield from (mapping.repository for mapping in _mappings(stage.work))
        steps = stage.work.block.steps if stage.work.block is not None else ()
        if any(map(_from_context, steps)):
            yield OWN_REPOSITORY
        for step in steps:
            remotes = step.remotes.values()
            yield from (remote.url for remote in remotes if isinstance(remote, GitSource))


def _from_context(step: BlockStep) -> bool:
    copies = step.instruction.keyword in {"COPY", "ADD"}
    mounts = any(it.files is not None and not it.files.image for it in step.mounts)
    local = len(step.remotes) < len(step.instruction.args) - 1
    return mounts or (copies and local and not (step.source and step.source.image))


def _mappings(work: StageWork) -> Iterator[GitMapping]:
    yield from (archive.mapping for archive in work.archives)
    yield from (patch.mapping for patch in work.patches if changes_files(patch))


def _repository(name: str, spec: ImageBuildSpec, *, number: int) -> Repository:
    url, secret = name, spec.git_secret(name)
    if name == OWN_REPOSITORY:
        git = spec.source.git if spec.source else None
        url, secret = (git.url, git.secret_ref) if git else ("", None)
    return Repository(name=name, url=url, secret=secret, volume=f"git-{number}" if secret else "")
