"""The repositories that git mappings of werf.yaml name by URL.

In: a build, its config, a way to open a repository. Out: opened repositories, each with the Secret that the ImageBuild has for
it; and the commits that branches and tags stand for, looked up once a run and recorded in status like the project's own:
an operator that starts in the middle of a build goes on with the commits that the build began with.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable

from conveyor.adapters.cache import KeyedLocks
from conveyor.adapters.git_credentials import check_url
from conveyor.adapters.git_repo import GitRepo
from conveyor.api.errors import NotYet, UserError
from conveyor.api.git_credentials import address_of
from conveyor.api.names import Reason
from conveyor.api.v1alpha1 import ImageBuild, LocalRef, RemoteStatus
from conveyor.config.model import GitMapping, WerfConfig
from conveyor.plan.answers import Answer
from conveyor.plan.questions import Question, RemoteHead
from conveyor.plan.remotes import moving_heads, remote_mappings

Open = Callable[[str, LocalRef | None], Awaitable[GitRepo]]

_MAX_SHOWN = 10
_AT_ONCE = 4


class Remotes:
    """Opens repositories for one look at a build, each once."""

    def __init__(self, build: ImageBuild, open_git: Open) -> None:
        self._build = build
        self._open_git = open_git
        self._open: dict[str, GitRepo] = {}
        self._locks: KeyedLocks[str] = KeyedLocks()

    async def open(self, url: str) -> GitRepo:
        """Return the repository.

        Raises:
            UserError, NotYet: As `GitClones.open` does, or the Secret cannot be read.
        """
        async with self._locks.of(url):
            if url not in self._open:
                self._open[url] = await self._open_git(url, self._build.spec.git_secret(url))
            return self._open[url]

    def scope(self, url: str) -> str:
        """What answers about a repository are remembered under: who has no Secret never sees those of who has."""
        secret = self._build.spec.git_secret(url)
        return f"{self._build.metadata.namespace}/{secret.name} {url}" if secret else url


def check_remotes(config: WerfConfig, build: ImageBuild) -> None:
    """Refuse what cannot be fetched, before anything is.

    Raises:
        UserError: One line for every mapping: a URL of another kind, or `basicAuth` without a Secret in its place.
    """
    problems = [
        f'{mapping.at}: image "{image.name}": {problem}'
        for image, mapping, remote in remote_mappings(config)
        if (problem := _problem(remote.url, remote.password, build))
    ]
    if problems:
        raise UserError(Reason.NOT_SUPPORTED, "\n".join(problems[:_MAX_SHOWN]))


def _problem(url: str, password: str, build: ImageBuild) -> str:
    try:
        check_url(url)
    except UserError as error:
        return error.message
    if password and build.spec.git_secret(url) is None:
        address = address_of(url)
        begin = f"{address[0]}://{address[1]}" if address else "the beginning of the url"
        return (
            f"`basicAuth.password.{password}` is not read: the password of a repository comes from a Secret with "
            f"username and password; name it in spec.gitCredentials of the ImageBuild, with url: {begin}"
        )
    return ""


async def look_up(
    remotes: Remotes,
    config: WerfConfig,
    images: Iterable[str],
    known: tuple[RemoteStatus, ...],
) -> tuple[RemoteStatus, ...]:
    """Return the commits that the build uses: the known ones, and the present ones of branches and tags not known yet.

    Raises:
        UserError, NotYet: A repository or revision cannot be had; the message names the mapping's line.
    """
    wanted = moving_heads(config, images)
    have = head_facts(known)
    limit = asyncio.Semaphore(_AT_ONCE)

    async def one(head: RemoteHead, mapping: GitMapping) -> RemoteStatus:
        async with limit:
            commit = str(have.get(head) or await _resolve(remotes, head, mapping))
        return RemoteStatus(
            url=head.url, branch=head.branch or None, tag=head.tag or None, commit=commit
        )

    found = await asyncio.gather(
        *(one(head, mapping) for head, mapping in wanted.items()), return_exceptions=True
    )
    errors = [error for error in found if isinstance(error, BaseException)]
    for error in sorted(errors, key=lambda error: not isinstance(error, UserError)):
        raise error
    return tuple(head for head in found if isinstance(head, RemoteStatus))


def head_facts(known: Iterable[RemoteStatus]) -> dict[Question, Answer]:
    """Return the recorded commits as answers for the planner."""
    return {
        RemoteHead(url=it.url, branch=it.branch or "", tag=it.tag or "", commit=""): it.commit
        for it in known
    }


async def _resolve(remotes: Remotes, head: RemoteHead, mapping: GitMapping) -> str:
    try:
        repo = await remotes.open(head.url)
        return await repo.resolve(branch=head.branch, tag=head.tag)
    except UserError as error:
        raise UserError(error.reason, f"{mapping.at}: {error.message}") from None
    except NotYet as error:
        raise NotYet(error.reason, f"{mapping.at}: {error.message}", after=error.after) from None
