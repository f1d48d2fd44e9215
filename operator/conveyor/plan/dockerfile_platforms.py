"""The platform that each FROM block of a Dockerfile runs on.

In: a Dockerfile's `Source`, a block. Out: its platform, and what of it no digest of werf's tells. BuildKit's rules: a block has
the platform of the block that it starts from, else that of its own `--platform`, else the image's; scratch has the image's;
an outside image that COPY --from or RUN --mount from= name is taken for the platform of the image, whatever the block runs on
(moby/buildkit: dockerfile2llb toDispatchState, dispatchState.init).
"""

from collections.abc import Iterable, Iterator

from conveyor.config.dockerfile import Block
from conveyor.config.dockerfile_blocks import base_block, source_block, sources_of
from conveyor.config.dockerfile_model import NOT_SUPPORTED
from conveyor.config.platforms import LINUX, is_platform, normal_platform, system_of
from conveyor.plan.dockerfile_args import expanded
from conveyor.plan.dockerfile_source import Progress, Source
from conveyor.plan.dockerfile_steps import SCRATCH
from conveyor.plan.model import Component


def platform_of(source: Source, block: Block, progress: Progress) -> str:
    """Return `os/arch[/variant]` that a block's base is for and its commands run on.

    Raises:
        UserError: InvalidDockerfile or NotSupported with the line: `--platform` names no platform, or none of Linux.
    """
    chain, known = [block], progress.platforms
    while chain[-1].index not in known:
        named = _named(source, chain[-1])
        base = source.base(chain[-1])
        below = base_block(source.parsed, chain[-1], base)
        if below is not None:
            chain.append(below)
        elif base == SCRATCH:
            known[chain[-1].index] = source.platform
        else:
            known[chain[-1].index] = named or source.platform
    found = known[chain[-1].index]
    known.update((one.index, found) for one in chain)
    return found


def is_foreign(source: Source, block: Block, progress: Progress) -> bool:
    """Whether a block runs on another platform than the image is for."""
    return platform_of(source, block, progress) != source.platform


def bound_to(
    source: Source, block: Block, others: Iterable[Block], progress: Progress
) -> tuple[Component, ...]:
    """Return what the digest of a block of another platform has of the image's, which is not hashed by itself.

    Nothing where what the block holds can only differ by what its ARGs say: images of all platforms share it then.

    Args:
        block: As it is executed, ONBUILD of its base included.
        others: What it starts from and takes files from; they were asked about before.
    """
    foreign = is_foreign(source, block, progress)
    found = (
        not foreign
        or any(progress.bound[other.index] for other in others)
        or any(_outside(source, block))
        or any("TARGET" in one.original for one in block.instructions if one.trigger_of)
    )
    progress.bound[block.index] = found
    if not (found and foreign) or block.index == source.target.index:
        return ()
    return (Component(label="TargetPlatform", value=source.platform),)


def unhashed_platforms(
    source: Source, block: Block, others: Iterable[Block], progress: Progress
) -> Iterator[str]:
    """Yield platforms that werf's digest of the block does not tell: it has one alone, and no `--platform` of any FROM."""
    target = block.index == source.target.index
    hashed = source.platform if target else platform_of(source, block, progress)
    for one in (block, *others):
        found = platform_of(source, one, progress)
        if found != hashed:
            yield f"FROM --platform={found}"


def platform_notes(source: Source, block: Block, progress: Progress) -> Iterator[str]:
    """Yield that a `--platform` has no effect."""
    named = _named(source, block)
    found = platform_of(source, block, progress)
    if named and named != found:
        yield (
            f"{source.parsed.file}:{block.line}: --platform={block.platform} has no effect: "
            f"{source.base(block)}, which this stage starts from, is of {found}"
        )


def _named(source: Source, block: Block) -> str:
    """Return what `--platform` says, "" for nothing."""
    if not block.platform:
        return ""
    wanted = expanded(source.parsed, block.line, block.platform, source.args.outer)
    found = normal_platform(wanted)
    if not is_platform(found):
        shown = f"{block.platform} is {wanted[:80]!r}, which" if "$" in block.platform else wanted
        text = f"FROM --platform={shown} is no platform; write OS/ARCH such as linux/arm64"
        raise source.parsed.error(block.line, text)
    if system_of(found) != LINUX:
        text = (
            f"FROM --platform={found} is not supported: stages are built in Linux containers; "
            "write linux/ARCH, or leave --platform out"
        )
        raise source.parsed.error(block.line, text, reason=NOT_SUPPORTED)
    return found


def _outside(source: Source, block: Block) -> Iterator[str]:
    """Yield the outside images that a block copies or mounts from."""
    for instruction in block.instructions:
        for name in sources_of(instruction):
            if source_block(source.parsed, block, name) is None:
                yield name
