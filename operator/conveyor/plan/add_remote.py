"""Whether the remote sources of what has to be built may be fetched, as far as their text tells.

In: a `BuildPlan`, the administrator's policy, which repositories the ImageBuild has a login for. Out: nothing, or the
error that names every line. What a name resolves to is judged by the courier, who connects to it.
"""

from collections.abc import Callable, Iterator

from conveyor.api.errors import UserError
from conveyor.api.names import Reason
from conveyor.config.remote_policy import RemotePolicy
from conveyor.config.remote_source import GitSource, RemoteSource, endpoint
from conveyor.plan.buildable import MAX_SHOWN
from conveyor.plan.model import BuildPlan, StageState


def remotes_of(plan: BuildPlan) -> Iterator[RemoteSource]:
    """Yield the remote sources that would be fetched: those of blocks that are not stored."""
    for image in plan.images:
        for stage in image.stages:
            block = stage.work.block if stage.state is not StageState.CACHED else None
            for step in block.steps if block else ():
                yield from step.remotes.values()


def check_remotes(plan: BuildPlan, policy: RemotePolicy, has_login: Callable[[str], bool]) -> None:
    """Refuse what may not be fetched.

    Raises:
        UserError: RemoteSourceNotAllowed, one line for every source; GitAuthFailed for an ssh repository without a login.
    """
    remotes = [*remotes_of(plan)]
    told = ((remote, policy.refuses_host(*endpoint(remote))) for remote in remotes)
    problems = [f"{remote.at}: {remote.shown}: {why}" for remote, why in told if why]
    if problems:
        text = "\n".join([*dict.fromkeys(problems)][:MAX_SHOWN])
        raise UserError(Reason.REMOTE_SOURCE_NOT_ALLOWED, text)
    for remote in remotes:
        if isinstance(remote, GitSource) and remote.over_ssh and not has_login(remote.url):
            text = "ssh needs a login: add one for it to spec.gitCredentials"
            raise UserError(Reason.GIT_AUTH_FAILED, f"{remote.at}: {remote.shown}: {text}")
