"""Imports of one stage: where their files come from and what their checksum is.

In: `Import`s, the images planned so far, answers. Out: `PlannedImport`s, the labels they leave, and the question
that is open when nobody can know the checksum before the source image is built.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from conveyor.config.model import Import
from conveyor.plan.answers import ImportRecord
from conveyor.plan.digest import DEFAULT_PLATFORM, import_id, import_source_id
from conveyor.plan.inquiry import Inquiry
from conveyor.plan.labels import import_labels
from conveyor.plan.model import PlannedImage, PlannedStage, StageState
from conveyor.plan.model_sources import PlannedImport
from conveyor.plan.questions import ImportChecksum, Question


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """Imports of a stage; `question` is set while the checksum of one is unknowable."""

    imports: tuple[PlannedImport, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    question: Question | None = None


@dataclass(frozen=True, slots=True)
class _Source:
    """An import's source: the question for its checksum, or (`id` "") what its image itself waits for.

    Attributes:
        name: Planned image name, or external reference.
    """

    name: str
    question: Question
    stored: bool
    id: str = ""


def find_imports(
    imports: Sequence[Import],
    images: Mapping[str, PlannedImage],
    inquiry: Inquiry,
    platform: str = DEFAULT_PLATFORM,
) -> Found:
    """Return the imports of one stage, in config order.

    Args:
        imports: Of the stage.
        images: The images it may take files from, for its platform, by their names in werf.yaml.
        inquiry: Knows checksums.
        platform: What external images are taken for.

    Raises:
        Waiting: The checksum of an import from a stored image has not been looked up yet.
    """
    sources = [_source(item, images, platform) for item in imports]
    inquiry.note(*(source.question for source in sources if source.stored))
    records = [_record(source, inquiry) for source in sources]
    planned = tuple(
        _planned(item, source, record)
        for item, source, record in zip(imports, sources, records, strict=True)
    )
    known = [
        (item, record.source_stage_id)
        for item, record in zip(planned, records, strict=True)
        if record
    ]
    missing = [source for source, record in zip(sources, records, strict=True) if record is None]
    return Found(
        imports=planned,
        labels=import_labels(known),
        question=missing[0].question if missing else None,
    )


def source_stage(image: PlannedImage, stage: str) -> PlannedStage:
    """Return the stage that is imported from; the last one when there is none of that name, as in werf."""
    for candidate in image.stages:
        if candidate.name == stage:
            return candidate
    return image.stages[-1]


def _source(item: Import, images: Mapping[str, PlannedImage], platform: str) -> _Source:
    if item.external:
        # One reference has other files on another platform, so their record needs another key (ADR 22).
        other = f" [{platform}]" if platform != DEFAULT_PLATFORM else ""
        source_id = import_source_id(item, f"external-image:{item.image}{other}")
        external = ImportChecksum(id=source_id, source_image="")
        return _Source(item.image, external, stored=True, id=source_id)
    image = images[item.image]
    stage = source_stage(image, item.stage)
    if stage.content_digest is None:
        if stage.question is None:
            raise AssertionError(f"an Unknown stage of {item.image!r} waits for nothing")
        return _Source(image.name, stage.question, stored=False)
    source_id = import_source_id(item, stage.content_digest)
    question = ImportChecksum(id=source_id, source_image=item.image)
    return _Source(image.name, question, stored=stage.state is StageState.CACHED, id=source_id)


def _record(source: _Source, inquiry: Inquiry) -> ImportRecord | None:
    """Return the checksum; an empty one counts as missing (werf regenerates broken records)."""
    if not source.id or (not source.stored and not inquiry.has(source.question)):
        return None
    answer = inquiry.known(source.question)
    return answer if isinstance(answer, ImportRecord) and answer.checksum else None


def _planned(item: Import, source: _Source, record: ImportRecord | None) -> PlannedImport:
    return PlannedImport(
        import_=item,
        source=source.name,
        import_id=import_id(item),
        source_id=source.id,
        checksum=record.checksum if record else "",
    )
