"""The other repositories that a build needs, as its config names them.

In: `WerfConfig` and the wanted images. Out: their git mappings with a `url`, and the questions whose answers move: what a
branch or tag stands for. Such an answer is taken once a run and kept, as it is for the project's own branch.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from conveyor.api.errors import UserError
from conveyor.api.names import Reason
from conveyor.config.model import GitMapping, GitRemote, StapelImage, WerfConfig
from conveyor.plan.images import image_sets
from conveyor.plan.questions import RemoteHead

MAX_HEADS: Final = 64
"""Branches and tags of other repositories in one build: all of them are listed in status."""


def head_of(remote: GitRemote) -> RemoteHead:
    """Return the question which commit the mapping stands for."""
    return RemoteHead(url=remote.url, branch=remote.branch, tag=remote.tag, commit=remote.commit)


def remote_mappings(
    config: WerfConfig, selected: Iterable[str] = ()
) -> Iterator[tuple[StapelImage, GitMapping, GitRemote]]:
    """Yield the mappings of other repositories, of the selected images (none: all) and of what they need."""
    for name in (name for names in image_sets(config, selected) for name in names):
        image = config.image(name)
        if isinstance(image, StapelImage):
            for mapping in image.git:
                if mapping.remote is not None:
                    yield image, mapping, mapping.remote


def moving_heads(
    config: WerfConfig, selected: Iterable[str] = ()
) -> Mapping[RemoteHead, GitMapping]:
    """Return the branches and tags to look up, each with a mapping that names it.

    Raises:
        UserError: NotSupported, too many of them.
    """
    found: dict[RemoteHead, GitMapping] = {}
    for _, mapping, remote in remote_mappings(config, selected):
        if not remote.commit:
            found.setdefault(head_of(remote), mapping)
    if len(found) > MAX_HEADS:
        raise UserError(
            Reason.NOT_SUPPORTED,
            f"{list(found.values())[MAX_HEADS].at}: more than {MAX_HEADS} branches and tags of other "
            "repositories; name commits instead",
        )
    return found
