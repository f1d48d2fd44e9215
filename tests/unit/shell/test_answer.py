"""Questions answered at once: which error is told when some of them cannot be."""

# mypy: disable-error-code="no-untyped-def, no-untyped-call, arg-type"

from types import SimpleNamespace

import pytest

from conveyor.api.errors import NotYet, UserError
from conveyor.api.names import Reason
from conveyor.api.v1alpha1 import ImageBuild, RemoteStatus
from conveyor.config.parse import parse
from conveyor.plan.facts import Facts
from conveyor.shell.answer import Answers
from conveyor.shell.remotes import Remotes, head_facts

COMMIT = "1" * 40
TOOLS = {"linux/amd64": SimpleNamespace(ansible=None)}
CONFIG = parse(
    "project: p\nconfigVersion: 1\n---\nimage: a\nfrom: x:1\ngit: [{add: /a, to: /a}, {add: /b, to: /b}]\n"
)
BUILD = ImageBuild.from_object(
    {
        "metadata": {"name": "shop", "namespace": "team", "uid": "u", "generation": 1},
        "spec": {"repo": "r.example/x", "config": "-"},
    }
)


async def test_a_platform_without_tools_is_refused_with_the_line_of_its_image():
    made = parse(
        "project: p\nconfigVersion: 1\n---\nimage: a\nfrom: x:1\nplatform: [linux/arm64]\nshell: {install: [x]}\n"
    )
    session = SimpleNamespace(
        build=BUILD, git=None, remotes=SimpleNamespace(open=None), tools=TOOLS, engine=""
    )
    with pytest.raises(UserError) as caught:
        await Answers().plan(session, made, Facts(commit=""), (), "run")
    assert caught.value.reason == Reason.PLATFORM_NOT_AVAILABLE
    assert caught.value.message == (
        'werf.yaml:4: image "a": this operator has no tools for linux/arm64, only for linux/amd64; '
        "see tools.platforms of its chart"
    )


class Repo:
    """A repository in which every question about a tree fails in its own way."""

    async def tree_checksum(self, commit, path_filter, narrow=()):
        if path_filter.base == "a":
            raise NotYet(Reason.GIT_REMOTE_UNREACHABLE, "no answer", after=1.0)
        raise UserError(Reason.NOT_SUPPORTED, "git submodules")

    async def path_kind(self, commit, path):
        return "directory"


async def test_a_users_mistake_is_told_as_such_and_before_an_outage():
    session = SimpleNamespace(
        build=BUILD, git=Repo(), remotes=SimpleNamespace(open=None), tools=TOOLS, engine=""
    )
    with pytest.raises(UserError, match="git submodules") as caught:
        await Answers().plan(session, CONFIG, Facts(commit=COMMIT), (), "run")
    assert caught.value.reason == Reason.NOT_SUPPORTED


class Library:
    """Another repository; what its branch stands for now is not to be asked."""

    def __init__(self):
        self.commits = set()

    async def tree_checksum(self, commit, path_filter, narrow=()):
        self.commits.add(commit)
        return "c" * 64


async def test_recorded_commits_of_other_repositories_are_planned_with():
    url = "https://h/lib"
    made = parse(
        "project: p\nconfigVersion: 1\n---\nimage: a\nfrom: x:1\n"
        f"git: [{{url: '{url}', to: /a, branch: main}}]\n"
    )
    library = Library()

    async def open_git(_url, _secret):
        return library

    session = SimpleNamespace(
        build=BUILD, git=None, remotes=Remotes(BUILD, open_git), tools=TOOLS, engine=""
    )
    known = (RemoteStatus(url=url, branch="main", commit=COMMIT),)
    facts = Facts(commit="", answers=head_facts(known))
    answers = Answers()
    for _ in range(2):
        planned = await answers.plan(session, made, facts, (), "run")
        (archive,) = planned.image("a").stages[-1].work.archives
        assert archive.commit == COMMIT
    assert library.commits == {COMMIT}
