"""Hash of a context's files: which paths are named, against real git, and Go's dirhash computed by hand."""

import base64
import hashlib
import subprocess

import pytest

from conveyor.adapters.answers import GitAnswers
from conveyor.adapters.git_blobs import BlobSums
from conveyor.adapters.git_clones import open_local
from conveyor.adapters.git_errors import GitFailed
from conveyor.api.errors import UserError
from conveyor.plan.digest import sha256_args
from conveyor.plan.questions import ContextHash

FILES = {
    "ctx/Dockerfile": b"FROM a\n",
    "ctx/a.txt": b"a\n",
    "ctx/b.txt": b"",
    "ctx/src/deep/x.txt": b"x" * 300_000,
    "ctx/src/y.md": b"y\n",
    "ctx/src2/z": b"\x00\xff\n",
    "elsewhere": b"e\n",
}


@pytest.fixture(scope="module")
def repository(tmp_path_factory):
    """A repository with these files and links, and the id of its commit."""
    folder = tmp_path_factory.mktemp("context")
    for name, content in FILES.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    (folder / "ctx/src/link").symlink_to("../a.txt")
    (folder / "ctx/top").symlink_to("a.txt")
    for args in (
        ["init", "-q"],
        ["add", "-A"],
        ["-c", "user.name=D", "-c", "user.email=d@e", "commit", "-qm", "x"],
    ):
        subprocess.run(["git", "-C", folder, *args], check=True, timeout=30)  # noqa: S603, S607
    head = ["git", "-C", folder, "rev-parse", "HEAD"]
    found = subprocess.run(head, check=True, capture_output=True, timeout=30)  # noqa: S603
    return folder, found.stdout.decode().strip()


async def answer(repository, *sources, ignore="", globs=True):
    folder, commit = repository
    answers = GitAnswers(await open_local(folder / ".git"), None)
    return await answers.answer(
        ContextHash(
            repo="own",
            commit=commit,
            context="ctx",
            dockerfile="Dockerfile",
            dockerignore=ignore,
            sources=sources,
            globs=globs,
        )
    )


def h1(*files):
    """Dirhash of (name, content) pairs."""
    lines = "".join(
        f"{hashlib.sha256(content).hexdigest()}  {name}\n" for name, content in sorted(files)
    )
    return "h1:" + base64.b64encode(hashlib.sha256(lines.encode()).digest()).decode()


A, B = h1(("a.txt", b"a\n")), h1(("b.txt", b""))
Z = h1(("/z", FILES["ctx/src2/z"]))
BIG = FILES["ctx/src/deep/x.txt"]
X = h1(("x.txt", BIG))
SRC = h1(("/deep/x.txt", BIG), ("/link", b"../a.txt"), ("/y.md", b"y\n"))
ALL = h1(
    *((name[3:], content) for name, content in FILES.items() if name.startswith("ctx/")),
    ("/src/link", b"../a.txt"),
    ("/top", b"a.txt"),
)


@pytest.mark.parametrize(
    ("sources", "hashes"),
    [
        (["a.txt"], [A]),
        (["b.txt", "a.txt", "./a.txt"], [A, B]),
        (["?.txt"], [A, B]),
        (["src"], [SRC]),
        (["src*"], [SRC, Z]),
        (["nothing*", "src2"], [Z]),
        (["**/*.txt"], [A, B, X]),
        (["src/**/x.txt"], [X]),
        (["."], [ALL]),
    ],
)
async def test_what_is_named(repository, sources, hashes):
    assert await answer(repository, *sources) == sha256_args(*hashes)


async def test_ignored_files_do_not_count_but_the_dockerfile_does(repository):
    only = await answer(repository, ".", ignore="*\n")
    assert only == sha256_args(h1(("/Dockerfile", b"FROM a\n")))
    assert await answer(repository, "src", ignore="**/*.md\nsrc/link\n") == sha256_args(
        h1(("/deep/x.txt", BIG))
    )


@pytest.mark.parametrize("sources", [["absent"], ["a.txt", "absent"], ["no*"], ["elsewhere"]])
async def test_what_is_not_there(repository, sources):
    assert await answer(repository, *sources) == ""


async def test_plain_paths_are_no_patterns(repository):
    assert await answer(repository, "a.txt", globs=False) == sha256_args(A)
    assert await answer(repository, "?.txt", globs=False) == ""


async def test_a_link_named_itself_is_not_supported(repository):
    with pytest.raises(UserError, match="top is a symbolic link"):
        await answer(repository, "top")


@pytest.mark.parametrize("step", [1, 3, 7, 1000])
def test_sums_whatever_the_pieces(step):
    output = b"a1 blob 0\n\n" + b"b2 blob 5\n1\n2\n3\n" + b"c3 blob 1\nx\n"
    sums = BlobSums()
    for start in range(0, len(output), step):
        sums.feed(output[start : start + step])
    contents = {"a1": b"", "b2": b"1\n2\n3", "c3": b"x"}
    assert sums.found == {oid: hashlib.sha256(c).hexdigest() for oid, c in contents.items()}


def test_a_missing_object_is_a_failure():
    with pytest.raises(GitFailed, match="missing"):
        BlobSums().feed(b"a1 missing\n")
