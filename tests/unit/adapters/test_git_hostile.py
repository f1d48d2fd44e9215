"""Repositories made by somebody who means harm: links that lead out, names that no file has, too much of everything."""

# mypy: disable-error-code="no-untyped-def, no-untyped-call"

import asyncio
import os
import subprocess

import pytest

from conveyor.adapters.answers import GitAnswers
from conveyor.adapters.git_clones import open_local
from conveyor.adapters.git_files import GitFiles
from conveyor.adapters.git_tree import GitTree
from conveyor.adapters.renderer import Renderer
from conveyor.api.errors import UserError
from conveyor.config.commit import CommitInfo
from conveyor.config.parse import parse
from conveyor.plan.questions import ContextChecksum, PathFilter

ENVIRONMENT = {
    "PATH": os.environ["PATH"],
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": "/dev/null",
    **{f"GIT_{who}_{what}": "x" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")},
}
WERF = "project: p\nconfigVersion: 1\n---\nimage: a\nfrom: x:1\n"
WITH_TEMPLATE = WERF + '{{ include "part.tmpl" . }}\n'


def git(directory, *args, stdin=b""):
    done = subprocess.run(  # noqa: S603
        ["git", "-C", str(directory), *args],  # noqa: S607
        env=ENVIRONMENT,
        input=stdin,
        capture_output=True,
        check=True,
        timeout=60,
    )
    return done.stdout.decode().strip()


@pytest.fixture
def work(tmp_path):
    directory = tmp_path / "work"
    directory.mkdir()
    git(directory, "init", "-q", "-b", "main")
    return directory


def commit(work, files=(), links=()):
    for name, text in dict(files).items():
        (work / name).parent.mkdir(parents=True, exist_ok=True)
        (work / name).write_text(text)
    for name, target in dict(links).items():
        (work / name).parent.mkdir(parents=True, exist_ok=True)
        (work / name).symlink_to(target)
    git(work, "add", "-A")
    git(work, "commit", "-q", "--allow-empty", "-m", "x")
    return git(work, "rev-parse", "HEAD")


async def rendered(work, head):
    """The config's text as the operator gets it."""
    files = await GitFiles.open(await open_local(work), head)
    about = CommitInfo(hash=head, date=0)
    return await asyncio.to_thread(Renderer().render, files, env={}, environment="", commit=about)


# --- links in what the config is read from ----------------------------------------------------------------------------


async def test_the_config_and_its_templates_may_be_links_inside(work):
    head = commit(
        work,
        {"real/w.yaml": WITH_TEMPLATE, "real/p.tmpl": "docker: {USER: u}"},
        {"werf.yaml": "real/../real/w.yaml", ".werf/part.tmpl": "../real/p.tmpl"},
    )
    assert (await rendered(work, head)).endswith("docker: {USER: u}\n")


@pytest.mark.parametrize("target", ["../../../etc/passwd", "/../etc/passwd", "real/../../x"])
@pytest.mark.parametrize("name", ["werf.yaml", ".werf/part.tmpl", "werf-giterminism.yaml"])
async def test_nothing_outside_is_read(work, name, target):
    others = {"werf.yaml": WITH_TEMPLATE, ".werf/part.tmpl": "", "real/x": ""}
    others.pop(name, None)
    depth = name.count("/")
    head = commit(
        work, others, {name: target if target.startswith("/") else "../" * depth + target}
    )
    with pytest.raises(UserError, match="leads out of the repository") as caught:
        await rendered(work, head)
    assert name in caught.value.message


async def test_an_absolute_link_means_the_repository(work):
    """There is no file system around a commit; nothing of the operator's own is ever read."""
    head = commit(work, {"etc/passwd": WERF}, {"werf.yaml": "/etc/passwd"})
    assert await rendered(work, head) == WERF
    head = commit(work, {"etc/passwd": ""}, {"other": "/etc/hostname"})
    assert await (await open_local(work)).file_text(head, "other") is None


async def test_a_link_to_itself_or_to_a_directory_is_no_config(work):
    head = commit(work, {"d/f": ""}, {"werf.yaml": "werf.yaml"})
    with pytest.raises(UserError, match=r"werf\.yaml: more than 20 links in a row"):
        await rendered(work, head)
    (work / "werf.yaml").unlink()
    head = commit(work, {}, {"werf.yaml": "d"})
    with pytest.raises(UserError, match=r"werf\.yaml"):
        await rendered(work, head)


async def test_a_config_of_many_megabytes_is_not_read(work):
    head = commit(work, {"werf.yaml": "#" * (9 << 20)})
    with pytest.raises(UserError, match=r"werf\.yaml is larger than 8388608 bytes"):
        await rendered(work, head)


# --- paths in the config ----------------------------------------------------------------------------------------------


def test_no_path_of_a_config_leads_out():
    """Targets are paths of the image, sources paths of the repository: neither may lead above its root."""
    text = WERF + (
        "git: [{add: /../../etc, to: /../../srv/../app/}]\n"
        "import: [{image: b, add: /../x, to: /../y, before: install}]\n---\nimage: b\nfrom: x:1\n"
    )
    with pytest.raises(UserError) as caught:
        parse(text)
    assert str(caught.value).count("leads above the root") == 4


def test_dots_inside_a_path_are_resolved():
    (mapping,) = parse(WERF + "git: [{add: /etc/../src, to: /srv/../app/}]\n").images[0].git
    assert (mapping.add, mapping.to) == ("src", "/app")


@pytest.mark.parametrize("key", ["includePaths", "excludePaths"])
@pytest.mark.parametrize("path", ["../x", "a/../../x", "/etc"])
def test_globs_stay_below_what_they_are_relative_to(key, path):
    with pytest.raises(UserError, match=f"`{key}` has"):
        parse(WERF + f"git: [{{to: /app, {key}: ['{path}']}}]\n")


# --- names and numbers ------------------------------------------------------------------------------------------------

ODD = ("new\nline", "tab\tname", 'quo"te', "back\\slash", " blank ", "-rf", "é", "*", "$(id)")


async def test_odd_names_are_names(work):
    (work / "src").mkdir()
    first = commit(work, {f"src/{name}": "1\n" for name in ODD})
    second = commit(work, {f"src/{name}": "2\n" for name in ODD[:-1]} | {"other\nname": ""})
    repo = await open_local(work)
    assert sorted(await repo.files(first)) == sorted(f"src/{name}" for name in ODD)
    assert await repo.file_text(first, "src/new\nline") == "1\n"
    whole = PathFilter(base="src")
    part = PathFilter(base="src", exclude=ODD[:1])
    assert len({await repo.tree_checksum(first, it) for it in (whole, part)}) == 2
    changed = await repo.patch(first, second, whole, "/app")
    assert changed.text.count("diff --git") == len(ODD) - 1
    less = await repo.patch(first, second, part, "/app")
    assert less.text.count("diff --git") == len(ODD) - 2


async def test_bytes_that_are_no_text_are_names(work):
    oid = git(work, "hash-object", "-w", "--stdin", stdin=b"x")
    tree = git(work, "mktree", "-z", stdin=b"100644 blob " + oid.encode() + b"\t\xff\xfe\0")
    head = git(work, "commit-tree", tree, "-m", "x")
    repo = await open_local(work)
    assert await repo.files(head) == ("\udcff\udcfe",)
    assert len(await repo.tree_checksum(head, PathFilter(include=("*",)))) == 64


def test_a_hundred_thousand_files_are_a_tree():
    rows = b"".join(b"100644 blob %040x\td%d/f%d\0" % (n, n % 100, n) for n in range(100_000))
    made = GitTree("0" * 40, rows)
    assert len(list(made.files("d7"))) == 1000
    assert made.kind("d7/f7") == "file"


def test_more_files_than_anybody_has_are_refused(monkeypatch):
    monkeypatch.setattr("conveyor.adapters.git_tree.MAX_ENTRIES", 10)
    rows = b"100644 blob " + b"0" * 40 + b"\tf\0"
    with pytest.raises(UserError, match="more than 10 files"):
        GitTree("0" * 40, rows * 11)


# --- submodules -------------------------------------------------------------------------------------------------------


def with_submodule(work, oid, **files):
    (work / "ctx/module").mkdir(parents=True, exist_ok=True)
    commit(work, files)
    git(work, "update-index", "--add", "--cacheinfo", f"160000,{oid * 40},ctx/module")
    git(work, "commit", "-q", "-m", "x")
    return git(work, "rev-parse", "HEAD")


async def test_submodules_matter_where_they_are_wanted(work):
    first = with_submodule(work, "1", **{"ctx/a": "1", "b": "1"})
    second = with_submodule(work, "2", **{"ctx/a": "2"})
    repo = await open_local(work)
    for path_filter in (PathFilter(), PathFilter(base="ctx")):
        with pytest.raises(UserError, match=r"submodules.*ctx/module.*excludePaths") as caught:
            await repo.tree_checksum(first, path_filter)
        assert caught.value.reason == "NotSupported"
        with pytest.raises(UserError, match="submodules"):
            await repo.patch(first, second, path_filter, "/app")
    without = PathFilter(base="ctx", exclude=("module",))
    assert await repo.tree_checksum(first, without) != await repo.tree_checksum(second, without)
    patch = await repo.patch(first, second, without, "/app")
    assert patch.text.startswith("diff --git a/a b/a\n")
    assert "odule" not in patch.text
    nothing = await repo.patch(first, second, PathFilter(base="b"), "/b")
    assert nothing.empty


@pytest.mark.parametrize(
    ("sources", "ignore", "fine"),
    [
        ((".",), "", False),
        (("module",), "", False),
        (("*",), "", False),
        ((".",), "module\n", True),
        (("a",), "", True),
        ((".",), "*\n!a\n", True),
    ],
)
async def test_submodules_in_a_context_matter_where_they_are_copied(work, sources, ignore, fine):
    head = with_submodule(work, "1", **{"ctx/a": "1"})
    answers = GitAnswers(await open_local(work), open_remote=open_local)
    question = ContextChecksum(
        repo="own", commit=head, context="ctx", dockerfile="", dockerignore=ignore, sources=sources
    )
    if fine:
        assert len(await answers.answer(question)) == 64
        return
    with pytest.raises(UserError, match=r"submodules.*ctx/module.*\.dockerignore"):
        await answers.answer(question)
