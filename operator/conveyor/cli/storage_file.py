"""The storage file: the stages that count as stored, and answers that only something built can give.

In: a file of `conveyor plan --stages`. Out: `Storage`, and the same file with more stages in it. Its format is API:
docs/cli.md has it, and `VERSION` changes when a file of before would be read differently.
"""

import json
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import mkstemp
from typing import Final

from conveyor.api.errors import UserError
from conveyor.api.names import Reason
from conveyor.cli.json_reader import JsonReader
from conveyor.cli.questions import (
    answer_json,
    question_json,
    read_answer,
    read_question,
)
from conveyor.plan.answers import (
    Answer,
    StageDesc,
    StageDigest,
    StageID,
)
from conveyor.plan.questions import Question, StageInfo

VERSION: Final = 1
MAX_BYTES: Final = 256 * 1024 * 1024

_STAGE_ID: Final = re.compile(r"[0-9a-f]{56}-[0-9]{1,15}")
_SHOWN_PROBLEMS: Final = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Storage:
    """What is stored.

    Attributes:
        stages: By id, in the order of the file.
        answers: To questions that a plan may leave open.
    """

    stages: Mapping[StageID, StageDesc] = field(default_factory=dict)
    answers: Mapping[Question, Answer] = field(default_factory=dict)

    def by_digest(self) -> dict[StageDigest, tuple[int, ...]]:
        """Return the timestamps of every digest, ascending."""
        found: dict[StageDigest, list[int]] = {}
        for stage_id in self.stages:
            found.setdefault(stage_id.digest, []).append(stage_id.timestamp)
        return {digest: tuple(sorted(times)) for digest, times in found.items()}

    def answer(self, question: Question) -> Answer:
        """Return what is known; None when nothing is."""
        if isinstance(question, StageInfo):
            return self.stages.get(question.id)
        return self.answers.get(question)

    def known(self) -> dict[Question, Answer]:
        """Return all answers at once."""
        known = dict(self.answers)
        known.update((StageInfo(id=stage_id), stage) for stage_id, stage in self.stages.items())
        return known

    def with_stages(self, stages: Iterable[StageDesc]) -> "Storage":
        """Return storage with these stages too."""
        return Storage(
            stages={**self.stages, **{stage.id: stage for stage in stages}}, answers=self.answers
        )


def read_storage(path: Path) -> Storage:
    """Read a file; one that does not exist is empty storage.

    Raises:
        UserError: It cannot be read or is no storage file; every problem with its place.
    """
    try:
        text = _text(path)
    except FileNotFoundError:
        return Storage()
    except (OSError, UnicodeDecodeError) as error:
        raise _invalid(f"{path} cannot be read: {_why(error)}") from None
    try:
        value = json.loads(text, object_pairs_hook=_no_duplicates)
    except (ValueError, RecursionError) as error:
        raise _invalid(f"{path}{_syntax(error)}") from None
    problems: list[str] = []
    storage = _storage(JsonReader(value, "", problems))
    if problems:
        rest = len(problems) - _SHOWN_PROBLEMS
        more = [f"{path}: and {rest} more"] if rest > 0 else []
        shown = [f"{path}: {problem}" for problem in problems[:_SHOWN_PROBLEMS]]
        raise _invalid("\n".join([*shown, *more]))
    return storage


def write_storage(path: Path, storage: Storage) -> None:
    """Write a file, whole or not at all.

    Raises:
        UserError: It cannot be written.
    """
    text = json.dumps(_document(storage), indent=1) + "\n"
    try:
        handle, name = mkstemp(prefix=f".{path.name}.", dir=path.parent)
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(text)
            Path(name).chmod(0o644)
            Path(name).replace(path)
        finally:
            Path(name).unlink(missing_ok=True)
    except OSError as error:
        raise _invalid(f"{path} cannot be written: {_why(error)}") from None


def _text(path: Path) -> str:
    # The size of a pipe or a device says nothing: what counts is what comes out of it.
    with path.open("rb") as file:
        data = file.read(MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        raise _invalid(f"{path} has more than {MAX_BYTES} bytes, which is all that is read")
    return data.decode("utf-8")


def _why(error: OSError | UnicodeDecodeError) -> str:
    return (error.strerror or str(error)) if isinstance(error, OSError) else "it is not UTF-8"


def _syntax(error: ValueError | RecursionError) -> str:
    if isinstance(error, json.JSONDecodeError):
        return f":{error.lineno}:{error.colno}: not JSON: {error.msg}"
    return f": {error}" if isinstance(error, ValueError) else ": nested too deeply"


def _no_duplicates(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the key {twice!r} stands twice in one object")
    return found


def _storage(root: JsonReader) -> Storage:
    version = root.number("version")
    if version != VERSION and not root.problems:
        root.problem(f"has to be {VERSION}; this conveyor knows no other format", key="version")
    root.only("version", "stages", "answers")
    stages: dict[StageID, StageDesc] = {}
    for reader in root.each("stages"):
        stage = _stage(reader)
        if stage.id.digest and stage.id in stages:
            reader.problem(f"{stage.id} is in the file twice", key="id")
        stages[stage.id] = stage
    answers: dict[Question, Answer] = {}
    for reader in root.each("answers"):
        reader.only("question", "answer")
        question = read_question(reader.inner("question"))
        if question in answers:
            reader.problem("this question is answered twice", key="question")
        if question is not None:
            answers[question] = read_answer(question, reader.inner("answer"))
    return Storage(stages=stages, answers=answers)


def _stage(reader: JsonReader) -> StageDesc:
    reader.only("id", "labels", "manifestDigest", "imageId")
    told = reader.text("id", pattern=_STAGE_ID, wanted="DIGEST-TIMESTAMP as in a tag")
    digest, _, timestamp = told.partition("-")
    return StageDesc(
        id=StageID(digest=StageDigest(digest), timestamp=int(timestamp or 0)),
        manifest_digest=reader.text("manifestDigest", default=""),
        image_id=reader.text("imageId", default=""),
        labels=reader.texts("labels"),
    )


def _document(storage: Storage) -> dict[str, object]:
    return {
        "version": VERSION,
        "stages": [_stage_json(stage) for stage in storage.stages.values()],
        "answers": [
            {"question": question_json(question), "answer": answer_json(answer)}
            for question, answer in storage.answers.items()
        ],
    }


def _stage_json(stage: StageDesc) -> dict[str, object]:
    told = {"manifestDigest": stage.manifest_digest, "imageId": stage.image_id}
    known = {key: value for key, value in told.items() if value}
    return {"id": str(stage.id), **known, "labels": dict(stage.labels)}


def _invalid(message: str) -> UserError:
    return UserError(Reason.INVALID_SPEC, message)
