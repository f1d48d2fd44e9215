"""Repositories named by werf.yaml: what is refused, which Secret opens them, commits that stay for a run."""

# mypy: disable-error-code="no-untyped-def, no-untyped-call, arg-type"

import pytest

from conveyor.api.errors import NotYet, UserError
from conveyor.api.names import Reason
from conveyor.api.v1alpha1 import ImageBuild, RemoteStatus
from conveyor.config.parse import parse
from conveyor.plan.questions import RemoteHead
from conveyor.plan.remotes import MAX_HEADS, moving_heads
from conveyor.shell.remotes import Remotes, check_remotes, head_facts, look_up

ONE, TWO = "1" * 40, "2" * 40
META = "project: p\nconfigVersion: 1\n"


def config(*images):
    """One image for each list of mappings; the mappings of image n begin at line 6 + 4n."""
    return parse(
        META
        + "".join(
            f"---\nimage: i{number}\nfrom: x:1\ngit: [{', '.join(mappings)}]\n"
            for number, mappings in enumerate(images)
        )
    )


def mapping(url, to="/x", **more):
    fields = {"url": f"'{url}'", "to": to, **more}
    return "{" + ", ".join(f"{key}: {value}" for key, value in fields.items()) + "}"


def build(**spec):
    meta = {"name": "shop", "namespace": "team", "uid": "u", "generation": 1}
    return ImageBuild.from_object(
        {"metadata": meta, "spec": {"repo": "r.example/x", "config": "-", **spec}}
    )


LOGIN = {"gitCredentials": [{"url": "https://h/a", "secretRef": {"name": "login"}}]}


# --- what is refused --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("file:///srv/x", "must begin with one of http, https, ssh"),
        ("/srv/x", "must begin with"),
        ("ext::sh -c id", "malformed"),
        ("--upload-pack=id", "malformed"),
        ("-x@h:y", "malformed"),
        ("https://u:s3cret@h/x", "credentials inside"),
        ("https://u@h/x", "credentials inside"),
        ("git://h/x", "must begin with"),
        ("ssh://-oProxyCommand=id/x", "must begin with"),
    ],
)
def test_urls_that_are_never_fetched(url, says):
    with pytest.raises(UserError) as caught:
        check_remotes(config([mapping(url)]), build())
    assert caught.value.reason == Reason.NOT_SUPPORTED
    assert caught.value.message.startswith('werf.yaml:6: image "i0": git url')
    assert says in caught.value.message
    assert "s3cret" not in caught.value.message


@pytest.mark.parametrize("url", ["https://h/x", "http://h:1/x", "ssh://git@h/x", "git@h:o/x.git"])
def test_urls_that_may_be(url):
    check_remotes(config([mapping(url)]), build())


@pytest.mark.parametrize("where", ["env", "src", "value"])
def test_a_password_in_werf_yaml_is_replaced_by_a_secret(where):
    auth = f"{{username: u, password: {{{where}: s3cret}}}}"
    made = config([mapping("https://h/a/b", basicAuth=auth)])
    with pytest.raises(UserError) as caught:
        check_remotes(made, build())
    assert f"`basicAuth.password.{where}` is not read" in caught.value.message
    assert "spec.gitCredentials" in caught.value.message
    assert "url: https://h" in caught.value.message
    assert "s3cret" not in caught.value.message
    check_remotes(made, build(**LOGIN))


def test_every_mistake_is_told():
    with pytest.raises(UserError) as caught:
        check_remotes(
            config([mapping("file:///a"), mapping("file:///b", "/y")], [mapping("/c")]), build()
        )
    assert [line.split(":")[1] for line in caught.value.message.split("\n")] == ["6", "6", "10"]


# --- commits ----------------------------------------------------------------------------------------------------------


class Repo:
    """A repository whose branches are what `heads` says."""

    def __init__(self, heads, error=None):
        self.heads, self.error, self.asked = heads, error, []

    async def resolve(self, *, branch="", tag=""):
        self.asked.append(branch or tag or "HEAD")
        if self.error:
            raise self.error
        return self.heads[branch or tag or "HEAD"]


def opener(repos):
    opened = []

    async def open_git(url, secret):
        opened.append((url, secret.name if secret else None))
        return repos[url]

    return Remotes(build(**LOGIN), open_git), opened


async def test_branches_and_tags_are_looked_up_once_and_commits_never():
    repo = Repo({"main": ONE, "v1": TWO, "HEAD": ONE})
    other = Repo({"main": TWO})
    remotes, opened = opener({"https://h/a/b": repo, "https://h/c": other})
    made = config(
        [
            mapping("https://h/a/b", branch="main"),
            mapping("https://h/a/b", "/y", tag="v1"),
            mapping("https://h/a/b", "/z"),
            mapping("https://h/c", "/c", commit=ONE),
        ],
        [mapping("https://h/a/b", "/again", branch="main")],
        [mapping("https://h/c", "/c", branch="main")],
    )
    found = await look_up(remotes, made, ("i0", "i1"), ())
    assert [(it.branch, it.tag, it.commit) for it in found] == [
        ("main", None, ONE),
        (None, "v1", TWO),
        (None, None, ONE),
    ]
    assert sorted(repo.asked) == ["HEAD", "main", "v1"]
    assert opened == [("https://h/a/b", "login")]

    repo.heads = {"main": TWO}
    again = await look_up(remotes, made, ("i0", "i1"), found)
    assert again == found
    more = await look_up(remotes, made, (), found)
    assert more == (*found, RemoteStatus(url="https://h/c", branch="main", commit=TWO))
    assert len(repo.asked) == 3
    assert opened[1:] == [("https://h/c", None)]


def test_recorded_commits_are_answers():
    known = (
        RemoteStatus(url="https://h/c", branch="main", commit=ONE),
        RemoteStatus(url="https://h/c", commit=TWO),
    )
    assert head_facts(known) == {
        RemoteHead(url="https://h/c", branch="main", tag="", commit=""): ONE,
        RemoteHead(url="https://h/c", branch="", tag="", commit=""): TWO,
    }


async def test_errors_name_the_line_and_a_users_mistake_comes_first():
    down = Repo({}, NotYet(Reason.GIT_REMOTE_UNREACHABLE, "no answer", after=5.0))
    wrong = Repo({}, UserError(Reason.GIT_REVISION_NOT_FOUND, "no branch 'x'"))
    remotes, _ = opener({"https://h/down": down, "https://h/wrong": wrong})
    made = config([mapping("https://h/down", branch="x")], [mapping("https://h/wrong", branch="x")])
    with pytest.raises(UserError, match=r"^werf\.yaml:10: no branch 'x'$"):
        await look_up(remotes, made, (), ())
    with pytest.raises(NotYet, match=r"^werf\.yaml:6: no answer$") as caught:
        await look_up(remotes, made, ("i0",), ())
    assert caught.value.after == 5.0


def test_there_are_not_too_many():
    made = config(*([mapping("https://h/c", branch=f"b{n}")] for n in range(MAX_HEADS + 1)))
    assert len(moving_heads(made, ("i0",))) == 1
    with pytest.raises(UserError, match="more than 64 branches and tags"):
        moving_heads(made)


def test_who_has_no_secret_shares_no_answers_with_who_has():
    remotes, _ = opener({})
    assert remotes.scope("https://h/c") == "https://h/c"
    assert remotes.scope("https://h/a/b") == "team/login https://h/a/b"
