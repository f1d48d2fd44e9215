"""What to do next.

In: a `Situation`: the plan, the Jobs as observed, the recorded bundles, limits and the time. Out: a `Decision`: actions
for the shell and one `StageView` a stage for the status. Pure: the same situation gives the same decision, and when all
actions are done nothing more is decided until something changes.

Rules (architecture: who decides what): a stage is looked at when its parent is stored (here); a Job's result counts only
when it was built on the very parent that is stored (`lineage`); user failures are final, others are tried again, bounded
and backed off (`attempts`, `starting`); images that do not depend on a failed one go on (here).
"""

from collections.abc import Iterator, Sequence
from itertools import pairwise

from conveyor.api.v1alpha1 import StageState as ViewState
from conveyor.jobs.block_chains import line
from conveyor.jobs.decide_assembly import decide_assembly
from conveyor.jobs.decide_exports import decide_exports
from conveyor.jobs.decide_job import decide_job
from conveyor.jobs.decision import Decision, PublishIndex, PublishStage, Situation, StageView
from conveyor.jobs.draft import Draft
from conveyor.jobs.model import ObservedJob
from conveyor.jobs.stopping import abandoned
from conveyor.jobs.work import has_values, needs_pod
from conveyor.plan.model import BuildPlan, ImageBase, PlannedImage, PlannedStage, StageState
from conveyor.plan.targets import indexes_of


def decide(situation: Situation) -> Decision:
    """Return what to do now and how every stage stands."""
    draft = Draft(situation)
    for image in _in_set_order(situation.plan):
        _decide_image(draft, image)
    draft.actions.extend(
        PublishIndex(index=index)
        for index in indexes_of(situation.plan)
        if index.tag and index.tag not in situation.indexes
    )
    draft.actions.extend(abandoned(situation))
    views = dict(_shown(draft))
    return Decision(actions=tuple(draft.actions), views=views, look_again=draft.look_again)


def _shown(draft: Draft) -> Iterator[tuple[tuple[str, str], StageView]]:
    """Views in the order of the plan; inner stages are seen as the stage that they are parts of."""
    parts: list[StageView] = []
    for stage in (stage for image in draft.situation.plan.images for stage in image.stages):
        parts.append(draft.views[stage.image, stage.name])
        if not stage.inner:
            yield (stage.image, stage.name), joined(parts)
            parts = []


def joined(parts: Sequence[StageView]) -> StageView:
    """How a stage stands that consists of these: what failed or is going on tells most, else what comes next."""
    for state in (ViewState.FAILED, ViewState.BUILDING, ViewState.SKIPPED, ViewState.PENDING):
        for view in parts:
            if view.state is state:
                return view
    return parts[-1]


def _in_set_order(plan: BuildPlan) -> Iterator[PlannedImage]:
    """Images of the first set first, each after its own Dockerfile blocks, so that slots go to them first."""
    ranks = {name: rank for rank, names in enumerate(plan.sets) for name in names}
    names = {image.name: image.image for image in plan.images}
    yield from sorted(
        plan.images, key=lambda image: ranks.get(names.get(image.block_of) or image.image, 0)
    )


def _decide_image(draft: Draft, image: PlannedImage) -> None:
    for index, stage in enumerate(image.stages):
        if stage.state is StageState.CACHED:
            draft.see(stage, StageView(state=_stored_state(draft.situation, stage)))
            continue
        view = _decide_frontier(draft, image, index)
        draft.see(stage, view)
        _decide_rest(draft, image, index, view)
        if view.state in (ViewState.FAILED, ViewState.SKIPPED):
            draft.failed.add(image.name)
        return


def _stored_state(situation: Situation, stage: PlannedStage) -> ViewState:
    if stage.stored is None:
        return ViewState.CACHED
    started = situation.started_at.timestamp() * 1000
    return ViewState.BUILT if stage.stored.id.timestamp >= started else ViewState.CACHED


def _decide_rest(draft: Draft, image: PlannedImage, index: int, view: StageView) -> None:
    """Stages after the frontier: in the same Job they are under way too, behind a failure they will not be built."""
    lost = view.state in (ViewState.FAILED, ViewState.SKIPPED)
    together = view.job.digests if view.job and view.state is ViewState.BUILDING else ()
    for stage in image.stages[index + 1 :]:
        if lost:
            draft.see(stage, StageView(state=ViewState.SKIPPED))
        elif stage.digest in together:
            draft.see(stage, StageView(state=ViewState.PENDING, job=view.job))
        else:
            draft.see(stage, StageView(state=ViewState.PENDING))


def _decide_frontier(draft: Draft, image: PlannedImage, index: int) -> StageView:
    stage = image.stages[index]
    if any(name in draft.failed for name in image.depends_on):
        return StageView(state=ViewState.SKIPPED)
    if not _parent_stored(draft.situation.plan, image, index) or not _in_turn(draft, image):
        return StageView(state=ViewState.PENDING, job=_coming(draft, image, stage))
    view = decide_assembly(draft, image) or _decide_files(draft, image, index)
    if view is not None:
        return view
    if stage.state is StageState.UNKNOWN or not has_values(stage):
        return StageView(state=ViewState.PENDING)
    if not needs_pod(stage):
        return draft.publish(PublishStage(image=image.name, stage=stage))
    return decide_job(draft, image, index)


def _coming(draft: Draft, image: PlannedImage, stage: PlannedStage) -> ObservedJob | None:
    """The Job that builds what the image starts from, if it builds this stage after that."""
    base = image.stages[0].base
    if stage is not image.stages[0] or not isinstance(base, ImageBase):
        return None
    last = draft.situation.plan.image(base.image).stages[-1]
    seen = draft.views.get((last.image, last.name))
    job = seen.job if seen else None
    return job if job and stage.digest in job.digests else None


def _decide_files(draft: Draft, image: PlannedImage, index: int) -> StageView | None:
    """Get the files that the stage needs, and ask for those of later ones."""
    blocked = decide_exports(draft, image.stages[index])
    _ask_for_files(draft, image, index)
    return blocked


def _ask_for_files(draft: Draft, image: PlannedImage, index: int) -> None:
    """What later instructions copy from other images is exported meanwhile: those of the block, and of blocks that go along."""
    for before, stage in pairwise(line(draft.situation.plan, image, index)):
        if not before.inner and before.image == stage.image:
            return
        decide_exports(draft, stage)


def _in_turn(draft: Draft, image: PlannedImage) -> bool:
    """Whether everything is stored that comes before the image, where order is wanted for itself.

    Blocks that the plan does not name are behind a stored stage of this image.
    """
    if not image.in_order:
        return True
    return all(
        other.ready for other in draft.situation.plan.images if other.name in image.depends_on
    )


def _parent_stored(plan: BuildPlan, image: PlannedImage, index: int) -> bool:
    if index:
        return image.stages[index - 1].state is StageState.CACHED
    base = image.stages[0].base
    return not isinstance(base, ImageBase) or plan.image(base.image).ready
