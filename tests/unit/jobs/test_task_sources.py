"""An ADD with remote sources as the steps and inputs of a Job."""

# mypy: disable-error-code="no-untyped-def, no-untyped-call, union-attr, arg-type, var-annotated"

from dataclasses import replace

from tests.unit.jobs.test_task import AROUND, NEW, OWN, block, step, written
from tests.unit.jobs.values import to_build

from conveyor.api.spec import ImageBuildSpec
from conveyor.config.dockerfile import Heredoc
from conveyor.config.remote_policy import RemotePolicy
from conveyor.config.remote_source import GitSource, HttpSource
from conveyor.jobs.model import JobOrder
from conveyor.jobs.repositories import Repository, repositories
from conveyor.jobs.task_inputs import Inputs, StageRun
from conveyor.jobs.task_sources import parts_with_remotes

FILE = HttpSource(url="https://h.example/x?y", name="x", checksum="sha256:1", at="Dockerfile:2")
GIT = GitSource(url="https://h.example/d.git", ref="v1", subdir="docs", at="Dockerfile:3")
LIBRARY = Repository(name=GIT.url, url=GIT.url, volume="git-1")


def add(*words, flags=(), **remotes):
    made = step("ADD", *words, flags=flags)
    return replace(made, remotes={int(place[1:]): source for place, source in remotes.items()})


def copies(stage):
    ((steps),) = [layer["steps"] for layer in stage["runs"][0]["layers"]]
    return steps


def test_a_file():
    stage, courier = written(
        block(add(FILE.url, "/x/", flags=("--chown=1:2", "--chmod=7"), _0=FILE))
    )
    assert copies(stage) == [
        {
            "op": "copy",
            "file": "in/0.tar",
            "sources": [{"pattern": FILE.url, "entries": "0"}],
            "keepOwner": False,
            "dest": "/x/",
            "chown": "1:2",
            "chmod": "7",
            "workdir": "/srv",
        }
    ]
    assert courier["inputs"] == [
        {
            "run": 0,
            "kind": "http",
            "file": "in/0.tar",
            "url": "https://h.example/x?y",
            "name": "x",
            "checksum": "sha256:1",
            "at": "Dockerfile:2",
        }
    ]
    assert courier["remote"] == {
        "enabled": True,
        "allowedHosts": [],
        "privateHosts": [],
        "blockedNetworks": [],
    }


def test_a_repository():
    around = replace(AROUND, git=(LIBRARY,), remote=RemotePolicy(private_hosts=("h.example",)))
    _, courier = written(block(add("d", "/x", _0=GIT)), around=around)
    assert courier["inputs"] == [
        {
            "run": 0,
            "kind": "gitTree",
            "file": "in/0.tar",
            "repository": 0,
            "ref": "v1",
            "subdir": "docs",
            "checksum": "",
            "keepGitDir": False,
            "submodules": True,
            "at": "Dockerfile:3",
        }
    ]
    assert courier["git"][0]["url"] == GIT.url
    assert courier["remote"]["privateHosts"] == ["h.example"]


def test_a_git_directory_comes_with_the_whole_only():
    around = replace(AROUND, git=(LIBRARY,))
    kept = replace(GIT, keep_git_dir=True)
    whole = replace(kept, subdir="")
    _, courier = written(block(add("d", "e", "/x/", _0=kept, _1=whole)), around=around)
    assert [item["keepGitDir"] for item in courier["inputs"]] == [False, True]


def test_sources_of_several_kinds_are_copied_in_their_order():
    around = replace(AROUND, git=(OWN, LIBRARY))
    made = add("a", "b", "u", "u", "c", "g", "/x/", _2=FILE, _3=FILE, _5=GIT)
    stage, courier = written(block(made), around=around)
    patterns = [[source["pattern"] for source in one["sources"]] for one in copies(stage)]
    assert patterns == [["a", "b"], ["u"], ["u"], ["c"], ["g"]]
    assert {one["dest"] for one in copies(stage)} == {"/x/"}
    assert [one["file"] for one in copies(stage)] == [f"in/{number}.tar" for number in range(5)]
    kinds = [(item["kind"], item.get("repository")) for item in courier["inputs"]]
    assert kinds == [("context", 0), ("http", None), ("http", None), ("context", 0), ("gitTree", 1)]
    assert [item.get("sources") for item in courier["inputs"]] == [
        ["a", "b"],
        None,
        None,
        ["c"],
        None,
    ]


def test_what_is_fetched_stays_packed_and_here_documents_come_last():
    doc = Heredoc(name="EOF", content="text")
    made = add("a", "u", "/x/", flags=("--chown=1:2",), _1=FILE)
    made = replace(made, instruction=replace(made.instruction, heredocs=(doc,)))
    run = StageRun(number=0, order=None, plan=None, inputs=Inputs(), repositories=())
    parts = [(part.instruction, file) for part, file in parts_with_remotes(made, run)]
    assert [(one.args, one.flags, one.heredocs, file) for one, file in parts] == [
        (("a", "/x/"), ("--chown=1:2",), (), ""),
        (("u", "/x/"), ("--chown=1:2", "--unpack=false"), (), "in/0.tar"),
        (("/x/",), ("--chown=1:2",), (doc,), ""),
    ]


def test_without_remote_sources_there_is_no_policy():
    _, courier = written(block(step("COPY", "a", "/x")))
    assert "remote" not in courier


def fetched(*steps, **spec):
    order = JobOrder(
        image="app",
        stages=(to_build("app/s0", work=block(*steps)),),
        parent=None,
        execution="x",
    )
    whole = {
        "repo": "r.example/x",
        "source": {"git": {"url": "https://own.example/p", "commit": NEW}},
    }
    return repositories(order, ImageBuildSpec.model_validate(whole | spec))


def test_a_job_is_given_the_repositories_of_its_steps():
    login = {"url": "https://h.example/d.git", "secretRef": {"name": "login"}}
    found = fetched(add("d", "/x", _0=GIT), gitCredentials=[login])
    assert [(it.url, it.secret.name if it.secret else "") for it in found] == [(GIT.url, "login")]
    found = fetched(add("d", "a", "/x/", _0=GIT))
    assert [(it.url, it.secret) for it in found] == [
        ("https://own.example/p", None),
        (GIT.url, None),
    ]
    assert fetched(add("u", "/x", _0=FILE)) == ()
