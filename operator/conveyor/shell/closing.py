"""The end of a build: what is told and tidied up, once.

In: the last step of a look whose build is over. Out: exported images, Events, no Job that still waits, Jobs that expire.
"""

import asyncio

from conveyor.api.names import Reason
from conveyor.config.no_effect import without_effect
from conveyor.jobs.decision import StopJob
from conveyor.plan.buildable import notes_of
from conveyor.shell.dispatch import Dispatcher
from conveyor.shell.look import Look, Step
from conveyor.shell.telemetry import STAGES


async def close(dispatcher: Dispatcher, look: Look, step: Step) -> None:
    """Tidy up before the final status is written: after it nobody looks again."""
    await _stop_waiting(dispatcher, look, step)
    await _let_jobs_expire(dispatcher, look, step)
    await _tell_failures(dispatcher, look, step)
    await dispatcher.settled()


async def export_images(dispatcher: Dispatcher, look: Look, step: Step) -> None:
    """Before the build is called Ready: whoever waits for that finds the images under their references."""
    if all(image.ready for image in step.plan.images):
        await dispatcher.export_images(look.session, step.plan, look.build.spec.image_exports)


async def tell_no_effect(dispatcher: Dispatcher, look: Look, step: Step) -> None:
    """Once a run: an Event that was written is not written again, and a plan in progress need not be told."""
    if all(image.ready for image in step.plan.images):
        said = without_effect(look.config, {image.image for image in step.plan.images})
        for text in (*said, *notes_of(step.plan)):
            await dispatcher.warn(look.build, Reason.NO_EFFECT, text)


async def _stop_waiting(dispatcher: Dispatcher, look: Look, step: Step) -> None:
    """Jobs that could never start (no image pull, no node) are not left behind by a failed build."""
    for view in step.decision.views.values():
        if view.failure is not None and view.job is not None and not view.job.ended:
            why = f"it waited in vain: {view.failure.reason.value}"
            await dispatcher.stop(look.session, StopJob(job=view.job, why=why))


async def _let_jobs_expire(dispatcher: Dispatcher, look: Look, step: Step) -> None:
    """Only now: as long as a build goes on, its ended Jobs are the memory of what failed and how often."""
    uid = look.build.metadata.uid
    mine = [job for job in step.jobs if job.owner_uid == uid and not job.deleting]
    await asyncio.gather(*(dispatcher.expire(look.session, job) for job in mine))


async def _tell_failures(dispatcher: Dispatcher, look: Look, step: Step) -> None:
    for image, stage, failure in step.decision.failures:
        STAGES.labels("failed").inc()
        message = f"image {image}, stage {stage}: {failure.message}"
        await dispatcher.warn(look.build, failure.reason, message)
