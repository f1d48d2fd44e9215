"""What this version reads but cannot build yet.

In: a legal `WerfConfig`. Out: nothing, or a UserError that names every line. It is asked before anything starts: a directive that
were read and then ignored would give a wrong image without a word.
"""

from collections.abc import Iterator

from conveyor.api.errors import UserError
from conveyor.api.names import Reason
from conveyor.config.model import DockerfileImage, Image, StapelImage, WerfConfig
from conveyor.config.mounts import why_not
from conveyor.config.platforms import LINUX, system_of
from conveyor.config.raw import shorten


def check_scope(config: WerfConfig) -> None:
    """Refuse what would be left out.

    Raises:
        UserError: NotSupported, one line for every directive.
    """
    problems = [
        f'{image.at}: image "{image.name}": {problem}'
        for image in config.images
        for problem in _problems(image, config)
    ]
    if problems:
        raise UserError(Reason.NOT_SUPPORTED, "\n".join(problems[:10]))


def _problems(image: Image, config: WerfConfig) -> Iterator[str]:
    for platform in image.platforms or config.meta.platforms:
        if system_of(platform) != LINUX:
            yield f"platform {platform} is not supported: stages are built in Linux containers"
    match image:
        case StapelImage():
            yield from _mount_problems(image)
        case DockerfileImage():
            yield from _dockerfile_problems(image)


def _mount_problems(image: StapelImage) -> Iterator[str]:
    for mount in image.mounts:
        if reason := why_not(mount.to):
            yield f"nothing can be mounted to {shorten(mount.to)}: {reason}; choose another directory"


def _dockerfile_problems(image: DockerfileImage) -> Iterator[str]:
    if image.network:
        yield "`network` is not supported; commands use the network of their pod"
    if image.add_host:
        yield "`addHost` is not supported; use a name that can be resolved"
