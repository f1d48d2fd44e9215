"""The Dockerfile of an image: found at the commit, parsed, and its references resolved.

In: a `DockerfileImage` and answers. Out: `Source`: the parsed file with its arguments, target and
ignore text, and which block each FROM and COPY --from means. Questions that are open are noted in
`Progress`.
"""

import posixpath
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from conveyor.api.errors import UserError
from conveyor.config.dockerfile import Block, Dockerfile, parse_dockerfile
from conveyor.config.dockerfile_blocks import (
    base_block,
    block_image_name,
    source_block,
    sources_of,
    target_block,
)
from conveyor.config.dockerfile_heredocs import unhashed_bodies
from conveyor.config.dockerfile_model import INVALID
from conveyor.config.dockerignore import effective_dockerignore
from conveyor.config.model import DockerfileImage
from conveyor.plan.answers import Answer
from conveyor.plan.digest import sha256_args
from conveyor.plan.dockerfile_args import Arguments, arguments, expanded, uses_arguments
from conveyor.plan.dockerfile_steps import Scope
from conveyor.plan.facts import Facts
from conveyor.plan.questions import BaseImageInfo, FileText, PathKind, Question

OWN = "own"
_REFERENCE = re.compile(
    r"^(?:[A-Za-z0-9][A-Za-z0-9.\-]*(?::[0-9]+)?/|\[[0-9A-Fa-f:]+\](?::[0-9]+)?/)?"
    r"[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*)*"
    r"(?::[A-Za-z0-9_][A-Za-z0-9_.\-]{0,127})?(?:@sha256:[0-9a-f]{64})?$"
)


class ArgumentUnknownError(Exception):
    """The Dockerfile declares a build arg whose value nobody knows yet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """The Dockerfile of an image and where it lies.

    Attributes:
        platform: What the image is for.
        build_platform: As of `Facts`.
    """

    image: DockerfileImage
    parsed: Dockerfile
    args: Arguments
    target: Block
    platform: str
    build_platform: str = ""
    context: str
    dockerignore: str
    commit: str
    project_dir: str = ""

    @property
    def packed_ignore(self) -> str:
        """The ignore text of the context as it is packed: `contextAddFiles` are in it whatever is ignored."""
        exceptions = "".join(f"!{path}\n" for path in self.image.context_add_files)
        return f"{self.dockerignore.rstrip()}\n{exceptions}" if exceptions else self.dockerignore

    def name(self, block: Block) -> str:
        """Return the planned image's name of a block."""
        return block_image_name(self.parsed, block, self.image.name, self.target)

    def base(self, block: Block) -> str:
        """Return the FROM reference with its variables replaced; an empty one is an error."""
        base = expanded(self.parsed, block.line, block.base, self.args.outer)
        if not base:
            text = f"FROM {block.base} is empty; give its ARG a value or a default"
            raise self.parsed.error(block.line, text)
        return base


@dataclass(slots=True)
class Progress:
    """What is known so far, and what has to be asked.

    Attributes:
        scopes: Variables after each block that was looked at, by index.
        platforms: What each block that was looked at runs on, by index.
        asks: Outside bases to be looked up for the digest of each block that runs on another platform, by index.
        bound: Whether what a block holds may differ with the image's platform, by index.
        roots: The outside image at the bottom of each block's chain of FROMs, by index.
        unhashed: What stands for text that no digest has, of each block with all it is built from, by index.
    """

    facts: Facts
    questions: set[Question] = field(default_factory=set)
    scopes: dict[int, Scope] = field(default_factory=dict)
    roots: dict[int, str] = field(default_factory=dict)
    unhashed: dict[int, str] = field(default_factory=dict)
    platforms: dict[int, str] = field(default_factory=dict)
    asks: dict[int, tuple[BaseImageInfo, ...]] = field(default_factory=dict)
    bound: dict[int, bool] = field(default_factory=dict)

    def answer(self, question: Question) -> Answer:
        """Return the answer, and note the question when there is none; None is an answer, too."""
        if question not in self.facts.answers:
            self.questions.add(question)
        return self.facts.answers.get(question)


def read_source(
    image: DockerfileImage,
    progress: Progress,
    where: str,
    project_dir: str,
    given: Mapping[str, str | None],
    platform: str,
) -> Source | None:
    """Find and parse the image's Dockerfile and its ignore file; None while questions are open.

    `where` begins the messages about what werf.yaml says: its line and the image; `given` are build args, None of which a
    value is not known yet. Raises as `plan_dockerfile`.
    """
    commit = progress.facts.commit
    if not commit:
        problem = f"{where}: a Dockerfile is read from git, and this config has no repository"
        raise UserError(INVALID, problem)
    context = _inside(where, "context", posixpath.join(project_dir, image.context))
    path = _inside(where, "dockerfile", posixpath.join(context, image.dockerfile))
    candidates = (f"{path}.dockerignore", posixpath.join(context, ".dockerignore"))
    added = [posixpath.join(context, file) for file in image.context_add_files]
    kinds = [progress.answer(PathKind(repo=OWN, commit=commit, path=file)) for file in added]
    text, *ignores = (
        progress.answer(FileText(repo=OWN, commit=commit, path=file))
        for file in (path, *candidates)
    )
    if progress.questions:
        return None
    if not isinstance(text, str):
        problem = f"`dockerfile`: there is no file {path} in commit {commit}"
        raise UserError(
            INVALID, f"{where}: {problem}; commit it, or correct `dockerfile` or `context`"
        )
    _check_added(image, commit, added, kinds)
    ignored = ""
    for file, ignore in zip(candidates, ignores, strict=True):
        if isinstance(ignore, str):
            ignored = effective_dockerignore(ignore, image.dockerfile, file=file)
            break
    build_platform = progress.facts.build_platform
    parsed = parse_dockerfile(text, file=path)
    known = {name: value for name, value in given.items() if value is not None}
    if uses_arguments(parsed, given.keys() - known.keys(), platform):
        raise ArgumentUnknownError
    return Source(
        image=image,
        parsed=parsed,
        args=arguments(parsed, known, platform, image.target, build_platform),
        target=_target(parsed, image.target, where),
        platform=platform,
        build_platform=build_platform,
        context=context,
        dockerignore=ignored,
        commit=commit,
        project_dir=_inside(where, "directory", project_dir),
    )


def _target(parsed: Dockerfile, target: str, where: str) -> Block:
    try:
        return target_block(parsed, target)
    except UserError as error:
        raise UserError(error.reason, f"{where}: `target`: {error.message}") from None


def _check_added(
    image: DockerfileImage, commit: str, paths: Sequence[str], kinds: Sequence[Answer]
) -> None:
    missing = [path for path, kind in zip(paths, kinds, strict=True) if not kind]
    if missing:
        text = (
            f"{image.at}: contextAddFiles: {', '.join(missing)} is not in commit {commit}; there is no work tree here "
            "whose uncommitted files could be added: commit it, or make it in a RUN"
        )
        raise UserError(INVALID, text)


def _inside(where: str, key: str, path: str) -> str:
    """Return the clean path relative to the repository; "" is its root."""
    cleaned = posixpath.normpath(path or ".")
    if cleaned.startswith(("../", "/")) or cleaned == "..":
        raise UserError(INVALID, f"{where}: {key} {path!r} lies outside the repository")
    return "" if cleaned == "." else cleaned


def references(source: Source, block: Block) -> list[Block]:
    """Return the blocks that a block starts from and copies from, in this order."""
    base = base_block(source.parsed, block, source.base(block))
    named = (name for one in block.instructions for name in sources_of(one))
    copied = (source_block(source.parsed, block, name) for name in named)
    return [other for other in (base, *copied) if other is not None]


def needed_blocks(
    first: Iterable[Block], references: Callable[[Block], Iterable[Block]]
) -> list[Block]:
    """Return blocks, and all that they refer to, in the order of the file."""
    found = {block.index: block for block in first}
    waiting = [*found.values()]
    while waiting:
        for other in references(waiting.pop()):
            if other.index not in found:
                found[other.index] = other
                waiting.append(other)
    return [found[index] for index in sorted(found)]


def unhashed_text(block: Block, below: Iterable[str]) -> str:
    """Return what stands for the text of here-documents that no digest has, "" for none.

    Args:
        below: The same of the blocks that it starts from and copies from.
    """
    bodies = (part for one in block.instructions for part in unhashed_bodies(one))
    parts = [*bodies, *filter(None, below)]
    return sha256_args(*parts) if parts else ""


def check_reference(source: Source, line: int, what: str, reference: str) -> None:
    """Check that a name that is no block is an image reference; UserError with the line."""
    if len(reference) > 1024 or not _REFERENCE.match(reference):
        text = f"{what} {reference[:80]!r} is neither an earlier stage nor an image reference"
        if _REFERENCE.match(reference.lower()):
            text += "; write it in lower case"
        raise source.parsed.error(line, text)
