"""Runs: one generation of the spec and one value of the annotation `requestedAt`.

In: an ImageBuild and the time. Out: `Run`: the one that is under way, or a new one; and whether it is over.
"""

from dataclasses import dataclass
from datetime import UTC, datetime

from conveyor.api.v1alpha1 import ImageBuild, RemoteStatus


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """The present run of a build: the wish it answers, when it began (RFC 3339), and the commits it is about."""

    generation: int
    requested_at: str | None
    started_at: str
    commit: str = ""
    remotes: tuple[RemoteStatus, ...] = ()

    @property
    def started(self) -> datetime:
        """`started_at` as a time."""
        return datetime.fromisoformat(self.started_at)


def timestamp(now: datetime) -> str:
    """RFC 3339 in UTC, seconds."""
    return now.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _precise(now: datetime) -> str:
    """Milliseconds too: whether a stage was stored before or after this moment decides between Cached and Built."""
    return now.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def run_of(build: ImageBuild, now: datetime) -> Run:
    """Continue the recorded run, or begin one when the spec changed or a new try is requested."""
    status = build.status
    same = (
        status.observed_generation == build.metadata.generation
        and status.last_handled_requested_at == build.requested_at
        and status.started_at is not None
    )
    return Run(
        generation=build.metadata.generation,
        requested_at=build.requested_at,
        started_at=status.started_at if same and status.started_at else _precise(now),
        commit=(status.commit or "") if same else "",
        remotes=status.remotes if same else (),
    )


def finished(build: ImageBuild) -> bool:
    """Whether this run came to its end; a finished run is never looked at again (a result does not flip)."""
    status = build.status
    return (
        status.completed_at is not None
        and status.observed_generation == build.metadata.generation
        and status.last_handled_requested_at == build.requested_at
    )
