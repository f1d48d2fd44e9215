"""Values that `dependencies:` hand from one image to another.

In: `Dependency`s, the images planned so far, the name of the repository. Out: `PlannedDependency`s with their values,
the labels they leave, and the question that is open while an image is not stored: its reference holds the time at which
its last stage was stored, so nobody can know it before (werf: DependencyImport, GetDependencies).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from conveyor.config.model import Dependency, DependencyImport
from conveyor.plan.answers import StoredImage
from conveyor.plan.facts import Facts
from conveyor.plan.labels import dependency_labels
from conveyor.plan.model import PlannedImage
from conveyor.plan.model_sources import PlannedDependency
from conveyor.plan.questions import ImageReference, Question


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundValues:
    """Dependencies of a stage; `question` is set while the values of one are unknowable."""

    dependencies: tuple[PlannedDependency, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    question: Question | None = None

    @property
    def by_target(self) -> Mapping[str, str | None]:
        """The values by the name of what receives them, None while not known."""
        return {
            item.target: one.values.get(item.target)
            for one in self.dependencies
            for item in one.dependency.imports
        }


def find_values(
    dependencies: Sequence[Dependency], images: Mapping[str, PlannedImage], facts: Facts
) -> FoundValues:
    """Return what the dependencies hand over, in config order.

    Args:
        dependencies: Of one stage, or of a Dockerfile image.
        images: Images planned so far, among them all that the dependencies name.
        facts: `repo`, and answers to ImageReference of somebody who knows better (a dry run).
    """
    found = tuple(_planned(one, images[one.image], facts) for one in dependencies)
    missing = [images[one.dependency.image].name for one in found if not one.known]
    return FoundValues(
        dependencies=found,
        labels=dependency_labels(found),
        question=ImageReference(image=missing[0]) if missing else None,
    )


def _planned(dependency: Dependency, image: PlannedImage, facts: Facts) -> PlannedDependency:
    stored = _stored(image, facts)
    values = {one.target: _value(one, stored) for one in dependency.imports} if stored else {}
    if stored is None or not all(values.values()):
        return PlannedDependency(dependency=dependency)
    return PlannedDependency(dependency=dependency, reference=stored.reference, values=values)


def _stored(image: PlannedImage, facts: Facts) -> StoredImage | None:
    """Return the image once all of it is stored: what is rebuilt below may replace the last stage, too."""
    last = image.stages[-1].stored
    if image.ready and last is not None and facts.repo:
        reference = f"{facts.repo}:{last.id}"
        return StoredImage(reference=reference, digest=last.manifest_digest, id=last.image_id)
    answer = facts.answers.get(ImageReference(image=image.name))
    return answer if isinstance(answer, StoredImage) else None


def _value(item: DependencyImport, stored: StoredImage) -> str:
    repo, _, tag = stored.reference.rpartition(":")
    match item.type:
        case "ImageName":
            return stored.reference
        case "ImageRepo":
            return repo
        case "ImageTag":
            return tag
        case "ImageDigest":
            return stored.digest
        case "ImageID":
            return stored.id
