"""Questions answered at once: which error is told when some of them cannot be."""

# mypy: disable-error-code="no-untyped-def, no-untyped-call, arg-type"

from types import SimpleNamespace

import pytest

from conveyor.api.errors import NotYet, UserError
from conveyor.api.names import Reason
from conveyor.api.v1alpha1 import ImageBuild
from conveyor.config.parse import parse
from conveyor.plan.facts import Facts
from conveyor.shell.answer import Answers

COMMIT = "1" * 40
CONFIG = parse(
    "project: p\nconfigVersion: 1\n---\nimage: a\nfrom: x:1\ngit: [{add: /a, to: /a}, {add: /b, to: /b}]\n"
)
BUILD = ImageBuild.from_object(
    {
        "metadata": {"name": "shop", "namespace": "team", "uid": "u", "generation": 1},
        "spec": {"repo": "r.example/x", "config": "-"},
    }
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
    session = SimpleNamespace(build=BUILD, git=Repo(), remotes=SimpleNamespace(open=None))
    with pytest.raises(UserError, match="git submodules") as caught:
        await Answers().plan(session, CONFIG, Facts(commit=COMMIT), (), "run")
    assert caught.value.reason == Reason.NOT_SUPPORTED
