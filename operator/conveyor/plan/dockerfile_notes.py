"""What a Dockerfile says in vain, or does in another way than its author may expect.

In: a Dockerfile's `Source` and a block as it is executed. Out: sentences with file and line. Nothing here is
wrong: the build goes on.
"""

from collections.abc import Iterator

from conveyor.config.dockerfile import Block
from conveyor.config.dockerfile_blocks import base_block
from conveyor.plan.dockerfile_args import declared
from conveyor.plan.dockerfile_source import Source
from conveyor.plan.dockerfile_triggers import triggers_of

_FILES = ("COPY", "ADD")
_SETTINGS = ("BUILDKIT_", "SOURCE_DATE_EPOCH")


def block_notes(source: Source, block: Block) -> tuple[str, ...]:
    """Return what is to be told about a block; what concerns the whole file is told with the target."""
    whole = _whole(source) if block.index == source.target.index else ()
    return (*whole, *_unseen_files(source, block))


def _whole(source: Source) -> Iterator[str]:
    parsed, image = source.parsed, source.image
    yield from (f"{parsed.file}:{line}: {text}" for line, text in parsed.notes)
    inner = (one for block in parsed.blocks for one in block.instructions if one.keyword == "ARG")
    seen = {name for one in (*parsed.args, *inner) for name, _ in declared(one)}
    for name in source.args.given:
        if name.startswith(_SETTINGS) and name not in seen:
            text = f"the build arg {name} has no effect: it is a setting of BuildKit"
            yield f'{image.at}: image "{image.name}": {text}'


def _unseen_files(source: Source, block: Block) -> Iterator[str]:
    """Yield triggers of an outside image that take files of the context; as in werf, no digest knows of them."""
    if base_block(source.parsed, block, source.base(block)) is not None:
        return
    for one in triggers_of(block):
        if one.keyword in _FILES and not one.flag("from"):
            yield (
                f"{source.parsed.file}:{block.line}: FROM {one.trigger_of} runs its ONBUILD {one.original!r}: as in werf, "
                "the files it takes are not part of the digest, and a change of them alone builds nothing again; write that "
                "instruction into the Dockerfile, on a base without it"
            )
