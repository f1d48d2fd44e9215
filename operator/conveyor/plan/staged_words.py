r"""Variables of a staged Dockerfile, as werf 2.x replaces them: twice.

In: a block, build arguments and the environment of its base image. Out: each instruction with its variables replaced and the
environment it runs in. The first pass knows what the Dockerfile says and leaves unknown variables alone; the second one knows
the base image too, and replaces what is left, in values that already lost their quotes (werf: pkg/dockerfile ExpandEnv, Expand;
pkg/build/stage/instruction Base.doExpandDependencies). Digests depend on it, so an escaped `\$X` is replaced in the end.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from conveyor.config.dockerfile import Block, Dockerfile, Instruction
from conveyor.config.dockerfile_heredocs import heredoc_word
from conveyor.config.dockerfile_words import ExpansionError, expand_word, expand_words
from conveyor.plan.dockerfile_args import declared, expansion_error, platform_arguments
from conveyor.plan.dockerfile_steps import DEFAULT_PATH

_WORDS = frozenset({"ADD", "COPY", "ENV", "LABEL", "STOPSIGNAL", "USER", "VOLUME", "WORKDIR"})
Expand = Callable[[str], str]


@dataclass(frozen=True, slots=True, kw_only=True)
class StagedInstruction:
    """One instruction after both passes.

    Attributes:
        instruction: Words replaced; of COPY and ADD also `--chown`. A RUN keeps its `--mount` flags as written.
        env: What is in force: the base image's environment, and ENV and ARG of the block before it.
        expand: Replaces what is left to replace, for `--mount`.
    """

    instruction: Instruction
    env: Mapping[str, str]
    expand: Expand


class StagedWords:
    """Replaces the variables of one Dockerfile."""

    def __init__(
        self,
        parsed: Dockerfile,
        given: Mapping[str, str],
        platform: str,
        build_platform: str = "",
    ) -> None:
        self._parsed = parsed
        self._given = given
        self._meta = dict(platform_arguments(platform, build_platform))
        for instruction in parsed.args:
            for name, default in declared(instruction):
                text = self._word(instruction.line, default or "", self._meta, keep=True)
                self._meta[name] = given.get(name, text)

    def base(self, block: Block) -> str:
        """Return the block's FROM reference; UserError for an empty one."""
        once = self._word(block.line, block.base, self._meta, keep=True)
        base = self._word(block.line, once, {}, keep=False)
        if not base:
            text = f"FROM {block.base} is empty; give its ARG a value or a default"
            raise self._parsed.error(block.line, text)
        return base

    def instructions(
        self, block: Block, base_env: Mapping[str, str]
    ) -> tuple[tuple[StagedInstruction, ...], dict[str, str]]:
        """Return the block's instructions without ARG, and the environment of the image they make.

        Raises:
            UserError: InvalidDockerfile with the line.
        """
        known: dict[str, str] = {}
        image_env = dict(base_env)
        made: list[StagedInstruction] = []
        for written in block.instructions:
            env = self._environment(written.line, known, base_env)
            once = self._expanded(written, known, keep=True)
            if written.keyword == "ARG":
                known |= self._arguments(once)
                continue
            twice = self._expanded(once, env, keep=False)
            if written.keyword == "ENV":
                known |= dict(once.pairs)
                image_env |= dict(twice.pairs)
            made.append(
                StagedInstruction(
                    instruction=twice, env=env, expand=self._expander(written.line, known, env)
                )
            )
        return tuple(made), image_env

    def _environment(
        self, line: int, known: Mapping[str, str], base_env: Mapping[str, str]
    ) -> dict[str, str]:
        outer = {"PATH": DEFAULT_PATH, **base_env}
        inner = {name: self._word(line, text, outer, keep=False) for name, text in known.items()}
        return {**outer, **inner}

    def _arguments(self, instruction: Instruction) -> dict[str, str]:
        found: dict[str, str] = {}
        for name, default in declared(instruction):
            value = self._given.get(name, default)
            value = self._meta.get(name) if value is None else value
            if value is not None:
                found[name] = value
        return found

    def _expanded(
        self, instruction: Instruction, env: Mapping[str, str], *, keep: bool
    ) -> Instruction:
        line = instruction.line

        def word(text: str) -> str:
            return self._word(line, text, env, keep=keep)

        if instruction.keyword == "EXPOSE":
            # BuildKit's parser sorts ports before anything is replaced.
            ports = sorted(instruction.args) if keep else instruction.args
            words = [port for text in ports for port in self._ports(line, text, env, keep=keep)]
            return replace(instruction, args=tuple(words))
        if instruction.keyword == "ARG":
            return replace(instruction, args=tuple(_argument(a, word) for a in instruction.args))
        if instruction.keyword not in _WORDS:
            return instruction
        flags = tuple(_flag(flag, word) for flag in instruction.flags)
        args = (text if heredoc_word(text) else word(text) for text in instruction.args)
        return replace(instruction, args=tuple(args), flags=flags)

    def _expander(self, line: int, known: Mapping[str, str], env: Mapping[str, str]) -> Expand:
        before = dict(known)

        def expand(text: str) -> str:
            # A mount is read anew from its flag in the second pass; the first one only had to succeed.
            self._word(line, text, before, keep=True)
            return self._word(line, text, env, keep=False)

        return expand

    def _word(self, line: int, text: str, env: Mapping[str, str], *, keep: bool) -> str:
        try:
            return expand_word(text, env, escape=self._parsed.escape, keep_unset=keep)
        except ExpansionError as problem:
            raise expansion_error(self._parsed, line, text, problem) from None

    def _ports(
        self, line: int, text: str, env: Mapping[str, str], *, keep: bool
    ) -> tuple[str, ...]:
        try:
            return expand_words(text, env, escape=self._parsed.escape, keep_unset=keep)
        except ExpansionError as problem:
            raise expansion_error(self._parsed, line, text, problem) from None


def _argument(text: str, word: Expand) -> str:
    name, equals, default = text.partition("=")
    return f"{word(name)}{equals}{word(default)}"


def _flag(flag: str, word: Expand) -> str:
    name, equals, value = flag.partition("=")
    return f"{name}{equals}{word(value)}" if name == "--chown" else flag
