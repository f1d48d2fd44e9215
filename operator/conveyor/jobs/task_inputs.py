"""What the courier of a Job fetches, collected while the steps that use it are written.

In: what a step needs. Out: the file in which the step will find it, and the list of inputs for the courier's task.
"""

from dataclasses import dataclass, field

from conveyor.jobs.model import Export, JobOrder
from conveyor.plan.model import BuildPlan, PlannedStage

Json = dict[str, object]
REMOTE_KINDS = frozenset({"http", "gitTree"})


@dataclass(slots=True)
class Inputs:
    """Inputs of one Job, numbered as they are asked for."""

    items: list[Json] = field(default_factory=list)

    @property
    def remote(self) -> bool:
        """Whether something is fetched from where an ADD says."""
        return any(item["kind"] in REMOTE_KINDS for item in self.items)

    def add(self, run: int, kind: str, **what: object) -> str:
        """Have something fetched for a run; returns the file it will be in."""
        file = f"in/{len(self.items)}.tar"
        self.items.append({"run": run, "kind": kind, "file": file, **what})
        return file


@dataclass(frozen=True, slots=True, kw_only=True)
class StageRun:
    """One stage of a Job while its task is written."""

    number: int
    order: JobOrder
    plan: BuildPlan
    inputs: Inputs
    repositories: tuple[str, ...]

    @property
    def stage(self) -> PlannedStage:
        """The stage itself."""
        return self.order.stages[self.number]

    def fetch(self, kind: str, **what: object) -> str:
        """Have the courier fetch something for this run; returns the file it will be in."""
        return self.inputs.add(self.number, kind, **what)

    def fetch_git(self, kind: str, repository: str, **what: object) -> str:
        """Have the courier fetch files out of a repository."""
        return self.fetch(kind, repository=self.repositories.index(repository), **what)

    def fetch_bundle(self, export: Export) -> str:
        """Have the courier fetch the recorded files of an export."""
        layer = self.order.bundles[export.key].layer
        return self.fetch("blob", digest=layer.digest, size=layer.size, gzip=True)
