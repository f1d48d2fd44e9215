"""Instructions of a FROM block with their variables replaced, as a builder executes them.

In: a block, the variables that its base hands over, and the build arguments. Out: `BlockStep`s and
the variables for blocks that start from this one. Docker's (BuildKit's) rules: ENV and ARG are one
list of variables in which the later one wins, only ENV reaches the image, both are handed on to
blocks that start from this one, the text of RUN, CMD and ENTRYPOINT is left to the shell.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from conveyor.api.errors import UserError
from conveyor.config.dockerfile import Block, Dockerfile, Instruction
from conveyor.config.dockerfile_heredocs import MAX_HEREDOC
from conveyor.config.dockerfile_mounts import mount_flags
from conveyor.config.dockerfile_values import check_signal, count_ports, port_problems
from conveyor.config.dockerfile_words import (
    ExpansionError,
    expand_text_seen,
    expand_word_seen,
    expand_words,
)
from conveyor.plan.dockerfile_args import (
    Arguments,
    declared,
    expansion_error,
    proxy_environment,
)
from conveyor.plan.dockerfile_remotes import step_remotes
from conveyor.plan.dockerfile_step_files import checked, copied, run_script
from conveyor.plan.dockerfile_step_mounts import (
    depends_on_workdir,
    moved,
    step_mounts,
    why_not_mounted,
)
from conveyor.plan.model import BlockStep, CopySource

DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
SCRATCH = "scratch"
MAX_TOTAL = 32 * 1024 * 1024
TEXT_COST = 64


class BaseUnknownError(Exception):
    """A word needs the environment of a base image that nobody has looked at yet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """Variables in force.

    Attributes:
        values: ENV and ARG together.
        args: Those of `values` that an ARG set last, in the order of declaration.
        complete: False while the base image's environment is unknown; a missing name is then no
            empty name.
        workdir: Working directory, "" while the base image's is unknown.
    """

    values: Mapping[str, str]
    args: Mapping[str, str]
    complete: bool = True
    workdir: str = ""

    @classmethod
    def of_image(cls, env: Sequence[str] | None, workdir: str = "") -> "Scope":
        """Return the scope that an image's `Env` gives; None for an image not looked at."""
        if env is None:
            return cls(values={}, args={}, complete=False)
        pairs = (entry.partition("=") for entry in env)
        values = {name: value for name, _, value in pairs}
        return cls(values={"PATH": DEFAULT_PATH, **values}, args={}, workdir=workdir)


class StepMaker:
    """Makes the steps of one Dockerfile's blocks."""

    def __init__(self, parsed: Dockerfile, args: Arguments) -> None:
        self._parsed = parsed
        self._args = args
        self._proxies = proxy_environment(args.given)
        self._total = 0

    def steps(
        self, block: Block, scope: Scope, sources: Mapping[str, CopySource]
    ) -> tuple[tuple[BlockStep, ...], Scope]:
        """Return the block's steps and the variables after the last one.

        Args:
            block: The block.
            scope: Variables that its base hands over.
            sources: What each `--from` of the block means.

        Raises:
            UserError: InvalidDockerfile or NotSupported with the line.
            BaseUnknownError: `scope` is incomplete and a name is needed that it does not have.
        """
        made: list[BlockStep] = []
        cmd_seen = False
        for instruction in block.instructions:
            step, scope = self._told(instruction, scope, sources)
            if instruction.keyword == "ENTRYPOINT":
                step = replace(step, instruction=replace(instruction, resets_cmd=not cmd_seen))
            cmd_seen |= instruction.keyword == "CMD"
            made.append(step)
            self._count(step)
        return tuple(made), scope

    def _told(
        self, instruction: Instruction, scope: Scope, sources: Mapping[str, CopySource]
    ) -> tuple[BlockStep, Scope]:
        """Return the step; what is wrong with one that the base brought is told as such."""
        try:
            return self._step(instruction, scope, sources)
        except UserError as problem:
            if instruction.trigger_of:
                raise trigger_error(self._parsed, instruction, problem) from None
            raise

    def _step(
        self, instruction: Instruction, scope: Scope, sources: Mapping[str, CopySource]
    ) -> tuple[BlockStep, Scope]:
        keyword = instruction.keyword
        if keyword == "ENV":
            return self._env(instruction, scope)
        if keyword == "ARG":
            return BlockStep(instruction=instruction), self._arg(instruction, scope)
        env = {**scope.args, **self._proxies} if keyword == "RUN" else {}
        source = None
        if keyword in ("COPY", "ADD"):
            source = sources.get(instruction.flag("from"), CopySource())
        made = self._expanded(instruction, scope)
        step = BlockStep(instruction=made, env=env, source=source)
        if source:
            checksum = self._word(instruction.line, instruction.flag("checksum"), scope)
            found = step_remotes(self._parsed, instruction, made, checksum)
            step = replace(step, remotes=found)
        if mount_flags(instruction):
            step = self._with_mounts(step, scope, sources)
        if keyword == "WORKDIR":
            scope = replace(scope, workdir=moved(scope.workdir, step.instruction.args[0]))
        return step, scope

    def _with_mounts(
        self, step: BlockStep, scope: Scope, sources: Mapping[str, CopySource]
    ) -> BlockStep:
        line = step.instruction.line
        try:
            found = step_mounts(
                step.instruction, lambda word: self._word(line, word, scope), sources
            )
            if depends_on_workdir(found) and not (scope.workdir or scope.complete):
                raise BaseUnknownError
            refused = why_not_mounted(found, scope.workdir)
        except ValueError as problem:
            raise self._parsed.error(line, str(problem)) from None
        return replace(step, mounts=found, refused=refused)

    def _expanded(self, instruction: Instruction, scope: Scope) -> Instruction:
        match instruction.keyword:
            case "RUN":
                return run_script(instruction)
            case "COPY" | "ADD":
                return copied(
                    self._parsed,
                    instruction,
                    lambda word: self._word(instruction.line, word, scope),
                    lambda body: self._text(instruction.line, body, scope),
                )
            case "LABEL" | "WORKDIR" | "USER" | "VOLUME" | "STOPSIGNAL":
                return self._plain(instruction, scope)
            case "EXPOSE":
                return self._expose(instruction, scope)
            case _:
                return instruction

    def _arg(self, instruction: Instruction, scope: Scope) -> Scope:
        values, args = dict(scope.values), dict(scope.args)
        for name, default in declared(instruction):
            value = self._args.given.get(name)
            if value is None and default is None:
                value = self._args.outer.get(name)
            elif value is None and default is not None:
                inner = replace(scope, values=values)
                value = self._word(instruction.line, default, inner)
            if value is not None:
                values[name] = args[name] = value
        return replace(scope, values=values, args=args)

    def _env(self, instruction: Instruction, scope: Scope) -> tuple[BlockStep, Scope]:
        words = self._words(instruction, scope)
        pairs = dict(zip(words[::2], words[1::2], strict=True))
        if not all(pairs):
            raise self._parsed.error(instruction.line, "a name of ENV is empty after expansion")
        left = {name: value for name, value in scope.args.items() if name not in pairs}
        scope = replace(scope, values={**scope.values, **pairs}, args=left)
        return BlockStep(instruction=replace(instruction, args=words)), scope

    def _plain(self, instruction: Instruction, scope: Scope) -> Instruction:
        words = self._words(instruction, scope)
        keyword, line = instruction.keyword, instruction.line
        if keyword == "VOLUME" and not all(words):
            raise self._parsed.error(line, "a path of VOLUME is empty after expansion")
        if keyword == "STOPSIGNAL":
            checked(self._parsed, line, check_signal, words[0])
        return replace(instruction, args=words)

    def _expose(self, instruction: Instruction, scope: Scope) -> Instruction:
        ports: list[str] = []
        for word in instruction.args:
            self._word(instruction.line, word, scope)  # asks for what is missing
            ports += expand_words(word, scope.values, escape=self._parsed.escape)
        for problem in port_problems(ports):
            raise self._parsed.error(instruction.line, problem)
        return replace(instruction, args=tuple(ports))

    def _words(self, instruction: Instruction, scope: Scope) -> tuple[str, ...]:
        return tuple(self._word(instruction.line, word, scope) for word in instruction.args)

    def _word(self, line: int, word: str, scope: Scope) -> str:
        def expand(text: str) -> tuple[str, frozenset[str]]:
            return expand_word_seen(text, scope.values, escape=self._parsed.escape)

        return self._replaced(line, word, scope, expand)

    def _text(self, line: int, text: str, scope: Scope) -> str:
        """Return the body of a here-document with variables replaced."""

        def expand(body: str) -> tuple[str, frozenset[str]]:
            return expand_text_seen(body, scope.values, most=MAX_HEREDOC)

        return self._replaced(line, text, scope, expand)

    def _replaced(
        self,
        line: int,
        word: str,
        scope: Scope,
        expand: Callable[[str], tuple[str, frozenset[str]]],
    ) -> str:
        try:
            text, missing = expand(word)
        except ExpansionError as problem:
            if not scope.complete and "$" in word:
                raise BaseUnknownError from None  # the base image may have what is missing
            raise expansion_error(self._parsed, line, word, problem) from None
        if missing and not scope.complete:
            raise BaseUnknownError
        return text

    def _count(self, step: BlockStep) -> None:
        """Bound what all steps hold together; every text counts for what keeping it costs, too."""
        mounted = (text for it in step.mounts for text in (it.mount.source, it.mount.target))
        bodies = (doc.content for doc in step.instruction.heredocs)
        texts = (*step.instruction.args, *step.env, *step.env.values(), *mounted, *bodies)
        self._total += sum(len(one) + TEXT_COST for one in texts)
        if step.instruction.keyword == "EXPOSE":
            self._total += TEXT_COST * count_ports(step.instruction.args)
        if self._total > MAX_TOTAL:
            text = "all instructions together hold too many or too long variables"
            raise self._parsed.error(step.instruction.line, text)


def trigger_error(parsed: Dockerfile, one: Instruction, problem: UserError) -> UserError:
    """Return the error about an ONBUILD of a base: it says whose it is, for the line is that of the FROM."""
    shown = one.original if len(one.original) <= 120 else one.original[:117] + "…"
    text = problem.message.removeprefix(f"{parsed.file}:{one.line}: ")
    what = f"FROM {one.trigger_of} runs its ONBUILD {shown!r}: {text}"
    return parsed.error(one.line, what, reason=problem.reason)
