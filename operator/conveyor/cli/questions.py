"""Questions that only something built or pulled can answer, as JSON and as sentences.

In: a question of the planner, or JSON from a storage file (docs/cli.md). Out: JSON that can be put back into such a file, a
sentence, or the question and its answer. Git answers all other questions; a file cannot.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Final

from conveyor.cli.json_reader import JsonReader
from conveyor.plan.answers import (
    Answer,
    BaseImage,
    ImportRecord,
    StoredImage,
)
from conveyor.plan.model import BuildPlan, StageState
from conveyor.plan.model_sources import PlannedImport
from conveyor.plan.questions import (
    BaseImageInfo,
    ImageReference,
    ImportChecksum,
    Question,
)

_MD5: Final = re.compile(r"[0-9a-f]{32}")
_SHA256: Final = re.compile(r"[0-9a-f]{64}")
_REFERENCE: Final = re.compile(r"[^\s:]\S*:[^\s:/]+")
_IMAGE_DIGEST: Final = re.compile(r"sha256:[0-9a-f]{64}")

Openable = ImportChecksum | BaseImageInfo | ImageReference
"""What may stay open in a plan, and what a file may answer."""


@dataclass(frozen=True, slots=True)
class _Kind:
    """How one kind of question is written: the keys of its fields, and how question and answer are read."""

    keys: tuple[str, ...]
    question: Callable[[JsonReader], Openable]
    answer: Callable[[JsonReader], Answer]


def open_questions(plan: BuildPlan) -> list[Question]:
    """Return all that stages of a plan wait for, each question once."""
    found: dict[Question, None] = {}
    for stage in (stage for image in plan.images for stage in image.stages):
        if stage.state is StageState.UNKNOWN:
            missing = (import_question(item) for item in stage.work.imports if not item.checksum)
            found |= dict.fromkeys(question for question in missing if question)
        if stage.question:
            found[stage.question] = None
    return list(found)


def import_question(item: PlannedImport) -> ImportChecksum | None:
    """Return the question for an import's checksum; None while the content of its source image is not known."""
    image = "" if item.import_.external else item.import_.image
    return ImportChecksum(id=item.source_id, source_image=image) if item.source_id else None


def question_json(question: Question) -> dict[str, str]:
    """Return a question as it is written in files."""
    match question:
        case ImportChecksum():
            told = {"id": question.id, "image": question.source_image}
        case _:
            told = {field.name: str(getattr(question, field.name)) for field in fields(question)}
    return {"kind": type(question).__name__, **told}


def answer_json(answer: Answer) -> dict[str, object] | None:
    """Return an answer as it is written in files; empty fields are left out."""
    told: dict[str, object]
    match answer:
        case ImportRecord():
            told = {"checksum": answer.checksum, "sourceStage": answer.source_stage_id}
        case BaseImage():
            told = {"id": answer.id, "digest": answer.digest, "config": answer.config}
        case StoredImage():
            told = {"reference": answer.reference, "digest": answer.digest, "id": answer.id}
        case _:
            raise TypeError(f"not an answer for a file: {answer}")
    return {key: value for key, value in told.items() if value}


def question_text(question: Question) -> str:
    """Return a question as a person would ask it."""
    match question:
        case ImportChecksum(source_image=image) if image:
            return f"what is the checksum of the files imported from image {image!r}?"
        case ImportChecksum():
            return "what is the checksum of the files imported from an external image?"
        case BaseImageInfo():
            return f"what is {question.reference} ({question.platform}) now: its id and config?"
        case ImageReference():
            return f"under which reference is image {question.image!r} stored?"
        case _:
            return f"what is the answer to {question}?"


def read_question(reader: JsonReader) -> Openable | None:
    """Read a question; None and a problem told when it is none."""
    kind = _KINDS.get(reader.text("kind"))
    if kind is None:
        reader.problem(f"`kind` has to be one of {', '.join(sorted(_KINDS))}", key="kind")
        return None
    reader.only("kind", *kind.keys)
    return kind.question(reader)


def read_answer(question: Openable, reader: JsonReader) -> Answer:
    """Read the answer to a question."""
    return _KINDS[type(question).__name__].answer(reader)


def _import_question(reader: JsonReader) -> ImportChecksum:
    return ImportChecksum(
        id=reader.text("id", pattern=_SHA256, wanted="64 hex digits"),
        source_image=reader.text("image", may_be_empty=True),
    )


def _import_answer(reader: JsonReader) -> ImportRecord:
    reader.only("checksum", "sourceStage")
    return ImportRecord(
        checksum=reader.text("checksum", pattern=_MD5, wanted="32 hex digits"),
        source_stage_id=reader.text("sourceStage", default=""),
    )


def _base_question(reader: JsonReader) -> BaseImageInfo:
    return BaseImageInfo(reference=reader.text("reference"), platform=reader.text("platform"))


def _base_answer(reader: JsonReader) -> BaseImage:
    reader.only("id", "digest", "config")
    config: Mapping[str, object] = reader.mapping("config", default={})
    return BaseImage(id=_digest(reader, "id"), digest=_digest(reader, "digest"), config=config)


def _reference_question(reader: JsonReader) -> ImageReference:
    return ImageReference(image=reader.text("image", may_be_empty=True))


def _reference_answer(reader: JsonReader) -> StoredImage:
    reader.only("reference", "digest", "id")
    wanted = "REPOSITORY:TAG"
    return StoredImage(
        reference=reader.text("reference", pattern=_REFERENCE, wanted=wanted),
        digest=_digest(reader, "digest"),
        id=_digest(reader, "id"),
    )


def _digest(reader: JsonReader, key: str) -> str:
    wanted = "sha256: and 64 hex digits"
    return reader.text(key, pattern=_IMAGE_DIGEST, wanted=wanted, default="")


_KINDS: Final = {
    "ImportChecksum": _Kind(("id", "image"), _import_question, _import_answer),
    "BaseImageInfo": _Kind(("reference", "platform"), _base_question, _base_answer),
    "ImageReference": _Kind(("image",), _reference_question, _reference_answer),
}
