"""How the FROM blocks of a Dockerfile refer to each other.

In: a `Dockerfile`. Out: which block a name or number means, and which blocks a target needs. Names
are those of
Docker: case does not matter, a block may only refer to earlier ones, a name given twice means the
latest before the reference, `FROM x AS x` takes the image x from outside, the last block of a name
is the target of that name.
"""

from conveyor.config.dockerfile_model import Block, Dockerfile, Instruction
from conveyor.config.dockerfile_mounts import mount_images

MAX_INDEX = 10**9


def check_blocks(parsed: Dockerfile) -> None:
    """Check every COPY --from and RUN --mount=from=.

    Raises:
        UserError: InvalidDockerfile: a number without a block, the block itself or a later one.
    """
    for block in parsed.blocks:
        for instruction in block.instructions:
            check_sources(parsed, block, instruction)


def check_sources(parsed: Dockerfile, block: Block, instruction: Instruction) -> None:
    """Check what an instruction of the block copies or mounts from; raises as `check_blocks`."""
    for source in sources_of(instruction):
        _check_source(parsed, block, source, instruction)


def sources_of(instruction: Instruction) -> tuple[str, ...]:
    """Return what an instruction names in COPY --from or RUN --mount=from=, in order."""
    copied = instruction.flag("from") if instruction.keyword == "COPY" else ""
    return (copied,) if copied else mount_images(instruction)


def base_block(parsed: Dockerfile, block: Block, base: str) -> Block | None:
    """Return the earlier block that the expanded FROM reference names, None for an outside image.

    Unlike in COPY --from the case matters (moby/buildkit: addState), so `FROM Base` is never `AS
    base`.
    """
    return _earlier(parsed, block, base) if base == base.lower() else None


def source_block(parsed: Dockerfile, block: Block, source: str) -> Block | None:
    """Return the block that COPY --from means, None for an image from outside."""
    if _is_number(source):
        return parsed.blocks[_number(source)]
    return _earlier(parsed, block, source)


def target_block(parsed: Dockerfile, target: str) -> Block:
    """Return the block to build; "" is the last one.

    Raises:
        UserError: InvalidDockerfile: no block has that name.
    """
    if not target:
        return parsed.blocks[-1]
    for block in reversed(parsed.blocks):
        if block.name == target.lower():
            return block
    names = ", ".join(dict.fromkeys(block.name for block in parsed.blocks if block.name)) or "none"
    text = f"{target!r} is not a valid target build stage; stages with a name: {names}"
    raise parsed.error(parsed.blocks[-1].line, text)


def block_image_name(parsed: Dockerfile, block: Block, image: str, target: Block) -> str:
    """Return the planned image's name of a block: IMAGE, IMAGE/stage/NAME or IMAGE/stageN (werf 2.x)."""
    if block.index == target.index:
        return image
    latest = [one.index for one in parsed.blocks if one.name == block.name][-1]
    if block.name and latest == block.index:
        return f"{image}/stage/{block.name}"
    return f"{image}/stage{block.index}"


def _check_source(parsed: Dockerfile, block: Block, source: str, instruction: Instruction) -> None:
    line = instruction.line
    what = f"COPY --from={source}" if instruction.keyword == "COPY" else f"--mount from={source}"
    if _is_number(source):
        index = _number(source)
        if index >= len(parsed.blocks):
            text = f"{what}: there is no stage {source}; stages are numbered from 0"
            raise parsed.error(line, text)
        found: Block | None = parsed.blocks[index]
    else:
        found = _earlier(parsed, block, source) or _named(parsed, source)
    if found is None or found.index < block.index:
        return
    if found.index == block.index:
        raise parsed.error(line, f"{what}: a stage cannot copy from itself (circular)")
    text = f"{what}: the stage begins only in line {found.line}; put it before this one"
    raise parsed.error(line, text)


def _earlier(parsed: Dockerfile, block: Block, name: str) -> Block | None:
    for one in reversed(parsed.blocks[: block.index]):
        if one.name and one.name == name.lower():
            return one
    return None


def _named(parsed: Dockerfile, name: str) -> Block | None:
    for one in parsed.blocks:
        if one.name and one.name == name.lower():
            return one
    return None


def _is_number(source: str) -> bool:
    return source.isascii() and source.isdigit()


def _number(source: str) -> int:
    return int(source) if len(source) < 10 else MAX_INDEX
