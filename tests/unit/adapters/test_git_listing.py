"""Which files a COPY takes: what changes the checksum, and what does not."""

import pytest

from conveyor.adapters.git_listing import listing_checksum
from conveyor.adapters.git_tree import GitTree
from conveyor.config.dockerignore import Dockerignore

FILES = {
    "ctx/a.txt": ("100644", "1"),
    "ctx/b.md": ("100644", "2"),
    "ctx/src/one": ("100644", "3"),
    "ctx/src/deep/two": ("100755", "4"),
    "ctx/link": ("120000", "5"),
    "other": ("100644", "6"),
}


def tree(files):
    folders = {path[:at] for path in files for at, char in enumerate(path) if char == "/"}
    rows = [f"{mode} blob {oid * 40}\t{path}\0" for path, (mode, oid) in files.items()]
    # Ids of trees change with whatever is below them; here with everything.
    rows += [f"040000 tree {len(repr(files)) % 10!s:0>40}\t{path}\0" for path in folders]
    return GitTree("0" * 40, "".join(sorted(rows)).encode())


def listing(*sources, ignore="", **changed):
    files = {**FILES, **{path.replace("__", "/"): entry for path, entry in changed.items()}}
    files = {path: entry for path, entry in files.items() if entry}
    return listing_checksum(tree(files), "ctx", Dockerignore.parse(ignore), sources)


@pytest.mark.parametrize(
    ("sources", "path", "entry", "other"),
    [
        (["a.txt"], "ctx/a.txt", ("100644", "9"), True),
        (["a.txt"], "ctx/a.txt", ("100755", "1"), True),
        (["a.txt"], "ctx/a.txt", None, True),
        (["a.txt"], "ctx/b.md", ("100644", "9"), False),
        (["."], "ctx/src/deep/two", ("100644", "4"), True),
        (["."], "other", ("100644", "9"), False),
        (["src"], "ctx/src/new", ("100644", "1"), True),
        (["/src/"], "ctx/src/one", ("100644", "9"), True),
        (["src"], "ctx/srcs", ("100644", "1"), False),
        (["*.txt"], "ctx/c.txt", ("100644", "1"), True),
        (["*.txt"], "ctx/src/c.txt", ("100644", "1"), False),
        (["s*"], "ctx/src/deep/two", ("100644", "9"), True),
        (["src/*"], "ctx/src/deep/two", ("100644", "9"), True),
        (["src/../a.txt"], "ctx/a.txt", ("100644", "9"), True),
        (["link"], "ctx/a.txt", ("100644", "9"), True),
        (["link/x"], "ctx/a.txt", ("100644", "9"), True),
        (["l*"], "ctx/a.txt", ("100644", "9"), True),
        (["src/**/x"], "ctx/a.txt", ("100644", "9"), True),
        (["gone"], "ctx/a.txt", ("100644", "9"), False),
    ],
)
def test_what_is_copied_counts(sources, path, entry, other):
    changed = {path.replace("/", "__"): entry}
    assert (listing(*sources) != listing(*sources, **changed)) is other


def test_what_is_ignored_does_not_count():
    changed = {"ctx__b.md": ("100644", "9")}
    assert listing(".", ignore="*.md") == listing(".", ignore="*.md", **changed)
    assert listing(".", ignore="*.md") != listing(".")
    assert listing(".", ignore="*.md\n!b.md") != listing(".", ignore="*.md\n!b.md", **changed)


def test_a_directory_whose_files_are_all_ignored_is_copied_as_an_empty_one():
    new = {"ctx__logs__x.md": ("100644", "9")}
    assert listing(".", ignore="**/*.md") != listing(".", ignore="**/*.md", **new)
    assert listing(".", ignore="**/*.md\nlogs") == listing(".", ignore="**/*.md\nlogs", **new)


def test_the_same_files_by_other_names_are_the_same():
    assert listing("src", "a.txt") == listing("a.txt", "./src/")
