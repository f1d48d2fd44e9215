"""What werf.yaml says in vain: legal, kept as werf has it, and surprising.

In: a `WerfConfig` and the names of images. Out: a sentence for each such place. Digests stay those of werf, so none of it can be
put right here; people are told instead.
"""

from collections.abc import Collection, Iterator

from conveyor.config.model import USER_STAGES, GitMapping, Shell, StapelImage, WerfConfig


def without_effect(config: WerfConfig, images: Collection[str]) -> tuple[str, ...]:
    """Return what has no effect in these images, each with its line."""
    found = [image for image in config.images if image.name in images]
    return tuple(
        f'{image.at}: image "{image.name}": {text}'
        for image in found
        if isinstance(image, StapelImage)
        for text in _of_image(image)
    )


def _of_image(image: StapelImage) -> Iterator[str]:
    if image.disable_git_after_patch and image.docker is not None:
        yield (
            "`disableGitAfterPatch` takes the stage dockerInstructions away as well (so does werf): `docker` has no effect. "
            "Put it into an image of its own that is `from` this one"
        )
    for mapping in image.git:
        yield from _of_mapping(mapping, image.shell or Shell())


def _of_mapping(mapping: GitMapping, shell: Shell) -> Iterator[str]:
    for stage in USER_STAGES:
        globs = mapping.stage_dependencies.get(stage, ())
        versions = shell.cache_version or shell.stage_cache_versions.get(stage, "")
        if globs and not shell.commands.get(stage) and not versions:
            yield f"`stageDependencies.{stage}` of git.add: /{mapping.add} has no effect: there are no commands for {stage}"
