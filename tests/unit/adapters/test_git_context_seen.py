"""No file that Docker packs into a context is missed by the digest, however werf reads .dockerignore."""

import hashlib
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conveyor.adapters.answers import ContextFiles, GitAnswers
from conveyor.adapters.git_tree import GitTree
from conveyor.api.errors import UserError
from conveyor.config.dockerignore import Dockerignore
from conveyor.plan.paths import AllOf, Below, PathMatcher
from conveyor.plan.questions import ContextChecksum

FILES = ("a", "b/keep", "b/c/keep", "c/keep/x", "c/d/keep/x", "c/d/keep/e/f", ".env", "b/x.md")


def listed(changed: str) -> Iterator[str]:
    """What `git ls-tree` tells of these files, one of them changed."""
    oids = {path: hashlib.sha1(f"{path} {path == changed}".encode()).hexdigest() for path in FILES}  # noqa: S324
    parents = {path[:at] for path in FILES for at, char in enumerate(path) if char == "/"}
    for path in sorted({*FILES, *parents}):
        below = "".join(oid for name, oid in oids.items() if name.startswith(f"{path}/"))
        if below:
            yield f"040000 tree {hashlib.sha1(below.encode()).hexdigest()}\t{path}"  # noqa: S324
        else:
            yield f"100644 blob {oids[path]}\t{path}"


class Repo:
    """One commit, named after the file that is changed in it."""

    async def tree(self, commit: str) -> GitTree:
        root = hashlib.sha1(commit.encode()).hexdigest()  # noqa: S324
        return GitTree(root, ("\0".join(listed(commit)) + "\0").encode())


async def checksum(ignore: str, changed: str = "", sources: tuple[str, ...] = (".",)) -> object:
    question = ContextChecksum(
        repo="own",
        commit=changed,
        context="",
        dockerfile="Dockerfile",
        dockerignore=ignore,
        sources=sources,
    )
    return await GitAnswers(Repo(), None).answer(question)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("ignore", "changed", "seen"),
    [
        ("*\n!**/keep", "c/d/keep/x", True),
        ("*\n!**/keep", "c/d/keep/e/f", True),
        ("*\n!**/keep", "b/c/keep", True),
        ("*\n!**/keep", "b/x.md", False),
        ("*\n!c/**/keep\nc/keep/x", "c/keep/x", False),
        ("*\n!c/**/keep", "c/keep/x", True),
        ("*\n!b", "b/c/keep", True),
        ("*\n!b", "a", False),
    ],
)
async def test_what_is_packed_is_in_the_checksum(ignore: str, changed: str, seen: bool) -> None:  # noqa: FBT001
    assert (await checksum(ignore) != await checksum(ignore, changed)) is seen


async def test_only_what_the_sources_name_counts() -> None:
    ignore = "*\n!**/keep"
    assert await checksum(ignore, sources=("b",)) == await checksum(ignore, "c/d/keep/x", ("b",))
    assert await checksum(ignore, sources=("c",)) != await checksum(ignore, "c/d/keep/x", ("c",))


@pytest.mark.parametrize("ignore", ["*\n!**/*.md", "*\n!**/keep\nc", "**/keep", ""])
async def test_a_checksum_stays_werfs_where_werf_sees_every_file(ignore: str) -> None:
    tree = await Repo().tree("")
    everything = PathMatcher("", include=(".",))
    files = ContextFiles(Dockerignore.parse(ignore))
    assert await checksum(ignore) == tree.checksum(AllOf((everything, Below("", files))))


SEGMENT = st.sampled_from(["*", "**", "b", "c", "keep", "*.md", "?", "d", "x"])
LINE = st.builds(
    lambda sign, parts: sign + "/".join(parts),
    st.sampled_from(["", "!"]),
    st.lists(SEGMENT, min_size=1, max_size=3),
)


@given(st.lists(LINE, min_size=1, max_size=4), st.sampled_from(FILES))
async def test_no_packed_file_is_missed(lines: list[str], changed: str) -> None:
    text = "\n".join(lines)
    try:
        ignored = Dockerignore.parse(text).ignores(changed)
    except UserError:
        return
    if not ignored:
        assert await checksum(text) != await checksum(text, changed)
