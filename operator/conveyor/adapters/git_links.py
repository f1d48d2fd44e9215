"""Links inside a commit, followed as werf does: in every directory of a path, not only at its end.

In: a tree, a way to read a link's text, a path. Out: the path where no part is a link.
"""

from collections.abc import Awaitable, Callable

from conveyor.adapters.git_names import follow_link
from conveyor.adapters.git_tree import LINK_MODE, MAX_LINKS, Entry, GitTree
from conveyor.api.errors import UserError
from conveyor.api.names import Reason

ReadLink = Callable[[Entry, str], Awaitable[str]]


async def real_path(tree: GitTree, path: str, read: ReadLink) -> str:
    """Return the path with all links followed; nothing needs to be there.

    Raises:
        UserError: A link leads out of the repository, or links lead to each other.
    """
    real = path
    for _ in range(MAX_LINKS):
        link = _first_link(tree, real)
        if link is None:
            return real
        rest = real[len(link) :]
        real = (follow_link(link, await read(tree_entry(tree, link), link)) + rest).strip("/")
    raise UserError(Reason.INVALID_WERF_CONFIG, f"{path}: more than {MAX_LINKS} links in a row")


def is_link(tree: GitTree, path: str) -> bool:
    """Whether the path itself is a link."""
    entry = tree.entry(path)
    return entry is not None and entry.mode == LINK_MODE


def tree_entry(tree: GitTree, path: str) -> Entry:
    """Return what is at a path where something is known to be."""
    entry = tree.entry(path)
    if entry is None:
        raise AssertionError(f"nothing is at {path}")
    return entry


def _first_link(tree: GitTree, path: str) -> str | None:
    ends = [index for index, char in enumerate(path) if char == "/"]
    return next((path[:end] for end in (*ends, len(path)) if is_link(tree, path[:end])), None)
