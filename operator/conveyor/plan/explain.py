"""Why the stages of two plans differ, in terms of what went into their digests.

In: a plan of before, a plan of now. Out: for every stage of either one how it stands to the other, and the named arguments of
the digest that differ. Two plans are comparable when the later one was made as if the earlier one had been built.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from enum import StrEnum
from typing import Final

from conveyor.plan.digest import MAPPING
from conveyor.plan.labels import carried_commits
from conveyor.plan.model import BuildPlan, Component, ImageBase, PlannedImage, PlannedStage

PREVIOUS_DIGEST: Final = "PrevNonEmptyStage digest"
PREVIOUS_COMMITS: Final = "PrevNonEmptyStage dependencies for next stage"

# Beyond that, components are compared one by one: aligning them takes quadratic time.
_MAX_ALIGNED: Final = 2000
_ALWAYS_THERE: Final = frozenset(
    {"BuildCacheVersion", "StageName", PREVIOUS_DIGEST, PREVIOUS_COMMITS}
)


class Change(StrEnum):
    """How a stage stands to the one of before.

    Same: one digest, and what was stored serves. Again: one digest, but what is stored carries commits that do not lie before the
    wanted one. Unknown: one of the digests waits for an answer; what differs in any case is told.
    """

    SAME = "Same"
    AGAIN = "Again"
    CHANGED = "Changed"
    ADDED = "Added"
    REMOVED = "Removed"
    UNKNOWN = "Unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One named argument that differs.

    Attributes:
        path: Labels from the digest's own argument down to the one that differs.
        old: Its value before; None when there was no such argument.
        new: Its value now; None when there is none any more.
        note: What the values stand for, when they say little by themselves.
    """

    path: tuple[str, ...]
    old: str | None
    new: str | None
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class StageChange:
    """How one stage stands to the one of before; `differences` say why it changed.

    Attributes:
        image: Name of the planned image.
        config_name: Its name in werf.yaml, the same for all platforms.
    """

    image: str
    config_name: str
    platform: str
    stage: str
    change: Change
    old: PlannedStage | None
    new: PlannedStage | None
    differences: tuple[Difference, ...] = ()


def explain(old: BuildPlan, new: BuildPlan) -> tuple[StageChange, ...]:
    """Compare plans: images of now in order, each followed by its stages that are gone; last images that are gone.

    An image that is built for more platforms than before is compared on those that it had.
    """
    before = {(image.image, image.platform): image for image in old.images}
    rows: list[StageChange] = []
    for image in new.images:
        rows += _image(image, before.pop((image.image, image.platform), None), image)
    for image in before.values():
        rows += _image(image, image, None)
    return tuple(rows)


def _image(
    image: PlannedImage, old: PlannedImage | None, new: PlannedImage | None
) -> Iterator[StageChange]:
    before = _with_previous(old)
    now = _with_previous(new)
    for stage in now:
        yield _stage(image, stage, before.get(stage), now[stage])
    for stage in before:
        if stage not in now:
            yield _stage(image, stage, before[stage], None)


_Placed = tuple[PlannedStage, PlannedStage | None]
"""A stage and the one before it."""


def _with_previous(image: PlannedImage | None) -> dict[str, _Placed]:
    stages = image.stages if image else ()
    return {
        stage.name: (stage, stages[index - 1] if index else None)
        for index, stage in enumerate(stages)
    }


def _stage(image: PlannedImage, name: str, old: _Placed | None, new: _Placed | None) -> StageChange:
    change = _change(old[0] if old else None, new[0] if new else None)
    return StageChange(
        image=image.name,
        config_name=image.image,
        platform=image.platform,
        stage=name,
        change=change,
        old=old[0] if old else None,
        new=new[0] if new else None,
        differences=tuple(_reasons(change, old, new)),
    )


def _change(old: PlannedStage | None, new: PlannedStage | None) -> Change:
    if old is None:
        return Change.ADDED
    if new is None:
        return Change.REMOVED
    if old.digest is None or new.digest is None:
        return Change.UNKNOWN
    if old.digest != new.digest:
        return Change.CHANGED
    # The stage of before was assumed to be stored: one that is built nevertheless was not suitable.
    return Change.SAME if new.stored is not None else Change.AGAIN


def _reasons(change: Change, old: _Placed | None, new: _Placed | None) -> Iterator[Difference]:
    if change is Change.CHANGED and old and new:
        for difference in compare(old[0].components, new[0].components):
            yield _noted(difference, old, new)
    elif change is Change.ADDED and new:
        yield from compare((), _own(new[0]))
    elif change is Change.UNKNOWN and old and new and _own(old[0]) and _own(new[0]):
        yield from compare(_own(old[0]), _own(new[0]))
    elif change is Change.AGAIN and old and new:
        yield Difference(path=("commits",), old=_commits(old[0]), new=_commits(new[0]))


def _own(stage: PlannedStage) -> list[Component]:
    """What the stage itself brings into its digest: of an Unknown one nothing when that waits for an answer too."""
    return [part for part in stage.components if part.label not in _ALWAYS_THERE]


def _noted(difference: Difference, old: _Placed, new: _Placed) -> Difference:
    """Put what is known behind a hash in its place."""
    label = difference.path[-1]
    if label == PREVIOUS_DIGEST:
        return _replaced(difference, note=_before(old[1], new[1]))
    if label == PREVIOUS_COMMITS:
        commits = f"{_commits(old[1])} → {_commits(new[1])}"
        return _replaced(difference, note=f"the stage before it carries commits {commits}")
    base = new[0].base
    if label == "Base" and isinstance(base, ImageBase):
        return _replaced(difference, note=f"content of image {base.image!r}")
    return difference


def _replaced(difference: Difference, *, note: str) -> Difference:
    return Difference(path=difference.path, old=difference.old, new=difference.new, note=note)


def _before(old: PlannedStage | None, new: PlannedStage | None) -> str:
    names = [stage.name if stage else "none" for stage in (old, new)]
    if names[0] == names[1]:
        return f"the stage before it, {names[0]}, changed"
    return f"the stage before it is {names[1]} instead of {names[0]}"


def _commits(stage: PlannedStage | None) -> str:
    """The commits that a stage carries for its git mappings."""
    if stage is None:
        return "none"
    told: Mapping[str, str] = stage.stored.labels if stage.stored else stage.work.labels
    return ", ".join(sorted({commit[:12] for commit in carried_commits(told)})) or "none"


def compare(
    old: Sequence[Component], new: Sequence[Component], path: tuple[str, ...] = ()
) -> Iterator[Difference]:
    """Yield the innermost arguments that differ, in hash order."""
    for before, now in _pairs(old, new):
        component = now or before
        # An empty argument that comes or goes says nothing; where it matters, what it is a part of differs.
        if component is None or _value(before) == _value(now):
            continue
        here = (*path, component.label)
        parts = (before.parts if before else (), now.parts if now else ())
        inner = list(compare(*parts, here)) if any(parts) else []
        yield from inner or [
            Difference(
                path=here, old=before.value if before else None, new=now.value if now else None
            )
        ]


def _value(component: Component | None) -> str:
    return component.value if component else ""


_Pair = tuple[Component | None, Component | None]


def _pairs(old: Sequence[Component], new: Sequence[Component]) -> Iterator[_Pair]:
    """Put together what belongs together: equal arguments first, then those of one label in order.

    Git mappings are sorted by their hash: where they stand says nothing.
    """
    unordered = all(part.label.startswith(MAPPING) for part in (*old, *new))
    if unordered or max(len(old), len(new)) > _MAX_ALIGNED:
        yield from _by_label(old, new)
        return
    before = [(part.label, part.value) for part in old]
    now = [(part.label, part.value) for part in new]
    matcher = SequenceMatcher(None, before, now, autojunk=False)
    for kind, a, b, c, d in matcher.get_opcodes():
        if kind != "equal":
            yield from _by_label(old[a:b], new[c:d])


def _by_label(old: Sequence[Component], new: Sequence[Component]) -> Iterator[_Pair]:
    waiting: dict[str, list[Component]] = {}
    for part in reversed(old):
        waiting.setdefault(part.label, []).append(part)
    for part in new:
        same = waiting.get(part.label)
        yield (same.pop() if same else None), part
    gone = {id(part) for parts in waiting.values() for part in parts}
    for part in old:
        if id(part) in gone:
            yield part, None
