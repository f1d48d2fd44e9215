"""Answers are asked for once, and are at hand when the same is planned again."""

from types import SimpleNamespace

import pytest

from conveyor.api.spec import Compatibility
from conveyor.config.parse import parse
from conveyor.plan.answers import StageDesc
from conveyor.plan.facts import Facts
from conveyor.shell import answer
from conveyor.shell.answer import Answers

CONFIG = parse(
    """\
project: p
configVersion: 1
---
image: app
from: debian:12
git:
- {add: /src, to: /app, stageDependencies: {install: [a, b]}}
shell: {install: [make]}
"""
)
COMMIT = "c" * 40
TOOLS = {"linux/amd64": SimpleNamespace(ansible=None)}


class Git:
    """A repository that counts what it is asked."""

    def __init__(self):
        self.asked = 0

    async def tree_checksum(self, *_):
        self.asked += 1
        return "d" * 64

    async def path_kind(self, *_):
        self.asked += 1
        return "directory"


class Storage:
    def __init__(self):
        self.asked = []

    async def stage(self, stage_id):
        self.asked.append(stage_id)
        labels = {"werf-stage-content-digest": "e" * 56}
        return StageDesc(id=stage_id, manifest_digest="", labels=labels)


@pytest.fixture
def session():
    source = SimpleNamespace(git=SimpleNamespace(url="https://git.example.com/x"))
    spec = SimpleNamespace(
        repo="registry.example.com/x", source=source, compatibility=Compatibility()
    )
    remotes = SimpleNamespace(open=None)
    build = SimpleNamespace(spec=spec)
    return SimpleNamespace(
        build=build, git=Git(), remotes=remotes, storage=Storage(), tools=TOOLS, engine=""
    )


@pytest.fixture
def rounds(monkeypatch):
    found = []
    plan = answer.plan

    def counted(*args, **kwargs):
        found.append(args)
        return plan(*args, **kwargs)

    monkeypatch.setattr(answer, "plan", counted)
    return found


async def test_planning_again_asks_nothing_and_takes_one_round(session, rounds):
    answers = Answers()
    first = await answers.plan(session, CONFIG, Facts(commit=COMMIT), ("app",), "run")
    asked, taken = session.git.asked, len(rounds)
    assert asked
    assert taken > 1
    again = await answers.plan(session, CONFIG, Facts(commit=COMMIT), ("app",), "run")
    assert again == first
    assert session.git.asked == asked
    assert len(rounds) == taken + 1


async def test_stored_stages_are_looked_at_once(session):
    answers = Answers()
    built = await answers.plan(session, CONFIG, Facts(commit=COMMIT), ("app",), "run")
    digest = built.images[0].stages[0].digest
    facts = Facts(commit=COMMIT, stages={digest: (1,)})
    for run in ("first", "second"):
        result = await answers.plan(session, CONFIG, facts, ("app",), run)
        assert result.images[0].stages[0].state.value == "Cached"
    assert len(session.storage.asked) == 1
