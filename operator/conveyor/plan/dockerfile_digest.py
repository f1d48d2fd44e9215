"""What a FROM block's digest is made of, exactly as werf 2.x makes it.

In: a `Dockerfile`, its arguments and the answers about context files. Out: for each block the list
of components whose values, joined and hashed, are werf's stageDependencies for an image with that
block as target
(werf: pkg/build/stage/full_dockerfile.go; werf-semantics 4.10). werf expands every instruction by
Docker's word rules with its own idea of the variables: a stage's ARGs win over its ENVs, the base
image's ENV is not known, and an unknown variable is empty.
"""

from collections import ChainMap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from conveyor.api.errors import UserError
from conveyor.config.dockerfile import Block, Dockerfile, Instruction
from conveyor.config.dockerfile_blocks import base_block, source_block, sources_of
from conveyor.config.dockerfile_heredocs import hashed_bodies, source_words
from conveyor.config.dockerfile_mount_points import bound_path
from conveyor.config.dockerfile_mounts import RunMount, mount_flags, parse_mount
from conveyor.config.dockerfile_selection import hashed_source
from conveyor.config.dockerfile_syntax import parse_instructions
from conveyor.config.dockerfile_words import ExpansionError, expand_word
from conveyor.config.dockerignore import context_source
from conveyor.config.remote_source import is_remote
from conveyor.plan.digest import sha256_args
from conveyor.plan.dockerfile_args import Arguments, declared, expanded
from conveyor.plan.model import Component

MAX_COMPONENTS = 500_000
_ESCAPE = "\\"  # werf hashes with the default escape character whatever the file says
_SHELL_TEXT = frozenset({"RUN", "CMD", "ENTRYPOINT", "HEALTHCHECK", "SHELL", "MAINTAINER"})


@dataclass(frozen=True, slots=True, kw_only=True)
class ContextFiles:
    """A component that is not known yet: the checksum of the files that one COPY or ADD names."""

    keyword: str
    sources: tuple[str, ...]
    line: int

    def component(self, checksum: str, added: str = "") -> Component:
        """Return the component for the ls-tree checksum and that of `contextAddFiles` (64 hex, "" for nothing)."""
        label = f"{self.keyword} files: {' '.join(self.sources)}"
        value = sha256_args(checksum)
        return Component(label=label, value=sha256_args(value, added) if added else value)


Item = Component | ContextFiles


@dataclass(slots=True)
class _Variables:
    """Variables of one block as werf sees them while it goes through the instructions."""

    args: dict[str, str] = field(default_factory=dict)
    envs: dict[str, str] = field(default_factory=dict)

    @property
    def merged(self) -> Mapping[str, str]:
        return ChainMap(self.args, self.envs)


class BlockDigests:
    """Component lists of the blocks of one Dockerfile, made when they are asked for."""

    def __init__(self, parsed: Dockerfile, args: Arguments, add_host: Sequence[str]) -> None:
        self._parsed = parsed
        self._args = args
        self._hosts = [Component(label="AddHost", value=host) for host in add_host]
        self._own: dict[int, list[Item]] = {}
        self._full: dict[int, list[Item]] = {}
        self._total = 0

    def items(self, block: Block) -> Sequence[Item]:
        """Return the block's own items, then those of the blocks that it is built from.

        Raises:
            UserError: InvalidDockerfile: something cannot be expanded, or blocks copy from each
                other so often that the lists exceed 500,000 items.
        """
        if block.index not in self._full:
            for index in sorted(self._missing(block)):
                self._full[index] = self._make(self._parsed.blocks[index])
        return self._full[block.index]

    def _missing(self, block: Block) -> set[int]:
        """Return the blocks whose lists have to be made first, this one included."""
        found, waiting = {block.index}, [block]
        while waiting:
            current = waiting.pop()
            for other in self._included(current):
                known = other.index in self._full or other.index in found
                if other.index < current.index and not known:
                    found.add(other.index)
                    waiting.append(other)
        return found

    def _make(self, block: Block) -> list[Item]:
        result = list(self._own_items(block))
        based_on = {other.index for other in self._bases(block)}
        for other in self._included(block):
            # werf goes through the blocks once, in order: a later one has only its own items yet.
            earlier = other.index < block.index
            result += self._full[other.index] if earlier else self._own_items(other)
            if other.index in based_on:
                result += self._triggered(other)
                based_on.remove(other.index)
            if self._total + len(result) > MAX_COMPONENTS:
                text = f"stages build on each other in more than {MAX_COMPONENTS} ways"
                raise self._parsed.error(block.line, text)
        self._total += len(result)
        return result

    def _triggered(self, block: Block) -> Iterator[Item]:
        """Yield what the block's ONBUILD instructions add to blocks that start from it, in the block's own variables."""
        variables = _Variables()
        for instruction in block.instructions:
            if instruction.keyword != "ONBUILD":
                self._instruction(instruction, variables)
                continue
            (trigger,) = parse_instructions(instruction.args[0], file=self._parsed.file)
            copied = _Variables(args=dict(variables.args), envs=dict(variables.envs))
            yield from self._instruction(replace(trigger, line=instruction.line), copied)

    def _included(self, block: Block) -> Iterator[Block]:
        yield from self._bases(block)
        for instruction in block.instructions:
            for source in sources_of(instruction):
                found = source_block(self._parsed, block, source)
                if found is not None:
                    yield found

    def _bases(self, block: Block) -> Iterator[Block]:
        base = self._base(block)
        real = base_block(self._parsed, block, base)
        named = real.index if real else None
        for other in self._parsed.blocks:
            # werf compares the reference as written; one made of variables names a block as well.
            if other.index != block.index and (other.name == block.base or other.index == named):
                yield other

    def _own_items(self, block: Block) -> list[Item]:
        if block.index not in self._own:
            items: list[Item] = list(self._hosts)
            items.append(Component(label="FROM", value=self._base(block)))
            variables = _Variables()
            for instruction in block.instructions:
                items += self._instruction(instruction, variables)
            self._own[block.index] = items
        return self._own[block.index]

    def _base(self, block: Block) -> str:
        outer = self._args.werf_outer
        base = expanded(self._parsed, block.line, block.base, outer, escape=_ESCAPE)
        if not base:
            text = f"FROM {block.base} is empty; give its ARG a value or a default"
            raise self._parsed.error(block.line, text)
        return base

    def _instruction(self, instruction: Instruction, variables: _Variables) -> list[Item]:
        keyword, line = instruction.keyword, instruction.line
        if keyword == "ARG":
            return self._arg(instruction, variables)
        if keyword == "ENV":
            return self._env(instruction, variables)
        if keyword == "ONBUILD":
            return [Component(label=keyword, value=instruction.args[0])]
        bodies = heredoc_components(instruction)
        if keyword not in ("COPY", "ADD"):
            text = Component(label=keyword, value=self._text(instruction, variables))
            return [text, *bodies, *self._bound(instruction, variables)]
        items: list[Item] = [Component(label=keyword, value=instruction.original), *bodies]
        # A remote source is in the digest by its line alone, as in werf: what is behind it is not looked at.
        paths = source_words(instruction)
        if paths and not instruction.flag("from"):
            words = [self._word(line, word, variables) for word in paths]
            words = [word for word in words if not is_remote(word)]
            if instruction.is_set("parents"):
                words = list(map(hashed_source, words))
            sources = tuple(map(context_source, words))
            items.append(ContextFiles(keyword=keyword, sources=sources, line=line))
        return items

    def _bound(self, instruction: Instruction, variables: _Variables) -> Iterator[ContextFiles]:
        """Yield the files of the context that a RUN mounts; werf hashes the text alone, and would miss a change."""
        for flag in mount_flags(instruction):
            mount = self._mount(instruction.line, flag, variables)
            if mount.type == "bind" and not mount.source_image:
                source = context_source(bound_path(mount))
                yield ContextFiles(keyword="RUN --mount", sources=(source,), line=instruction.line)

    def _mount(self, line: int, flag: str, variables: _Variables) -> RunMount:
        try:
            return parse_mount(flag, lambda word: self._word(line, word, variables))
        except ValueError as problem:
            raise self._parsed.error(line, str(problem)) from None

    def _arg(self, instruction: Instruction, variables: _Variables) -> list[Item]:
        items: list[Item] = []
        for written, default in declared(instruction):
            name = self._word(instruction.line, written, variables)
            if name in self._args.given:
                value = self._args.given[name]
            elif not default:
                value = self._args.werf_outer.get(name, "")
            else:
                value = self._word(instruction.line, default, variables)
            variables.args[name] = value
            items.append(Component(label="ARG", value=f"ARG {name}={value}"))
        return items

    def _env(self, instruction: Instruction, variables: _Variables) -> list[Item]:
        items: list[Item] = []
        for written, text in instruction.pairs:
            name = self._word(instruction.line, written, variables)
            value = self._word(instruction.line, text, variables)
            variables.envs[name] = value
            items.append(Component(label="ENV", value=f"ENV {name}={value}"))
        return items

    def _text(self, instruction: Instruction, variables: _Variables) -> str:
        if instruction.keyword not in _SHELL_TEXT:
            return self._word(instruction.line, instruction.original, variables)
        try:
            return expand_word(instruction.original, variables.merged, escape=_ESCAPE)
        except ExpansionError:
            # Text for a shell that is no Dockerfile word, `${x^^}` say: werf fails, Docker builds it.
            return instruction.original

    def _word(self, line: int, word: str, variables: _Variables) -> str:
        if self._parsed.escape != _ESCAPE:
            try:
                return expand_word(word, variables.merged, escape=_ESCAPE)
            except ExpansionError:
                # werf fails, Docker builds it: no digest of werf has to be met.
                return expanded(self._parsed, line, word, variables.merged)
        return expanded(self._parsed, line, word, variables.merged, escape=_ESCAPE)


def heredoc_components(instruction: Instruction) -> list[Component]:
    """Return what here-documents add to a digest, which werf's own rule does not see."""
    bodies = hashed_bodies(instruction)
    return [Component(label="here-documents", value=sha256_args(*bodies))] if bodies else []


def missing_sources(parsed: Dockerfile, files: ContextFiles) -> UserError:
    """Return the error for a COPY whose sources are not in the commit."""
    names = ", ".join(files.sources)
    text = (
        f"{files.keyword}: {names} is not in the build context (the commit, without ignored files)"
    )
    return parsed.error(files.line, text)
