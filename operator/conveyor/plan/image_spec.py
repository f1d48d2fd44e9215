"""Planning the stage `imageSpec`, the same for stapel and Dockerfile images.

In: the chain of an image and its `ImageSpec`. Out: one more stage, which changes the image config only
(`conveyor.plan.image_config_spec` says how).
"""

from dataclasses import replace

from conveyor.config.image_spec import expand_labels
from conveyor.config.model_image_config import ImageSpec
from conveyor.plan import labels
from conveyor.plan.chain import Chain
from conveyor.plan.dependencies import spec_dependencies
from conveyor.plan.model import StageWork

STAGE = "imageSpec"


def add_image_spec(chain: Chain, spec: ImageSpec, project: str) -> None:
    """Plan the stage after all others of the image.

    The digest has the labels as they are written, so images of the same content share it. A stored stage made for another
    image is not used where the image's or the project's name is in a label.
    """
    image = chain.image if chain.config_image is None else chain.config_image
    expanded = expand_labels(spec, image=image, project=project)
    plain = dict(spec.labels)
    named = {key: text for key, text in expanded.items() if plain.get(key) != text}
    work = StageWork(image_spec=replace(spec, labels=expanded), labels={labels.WERF: project})
    if spec.entrypoint or "entrypoint" in spec.clear:
        chain.entrypoint = None
    if chain.question is not None:
        chain.add_unknown(STAGE, work, chain.question, git=False)
        return
    chain.add(STAGE, spec_dependencies(spec), work, git=False, wanted_labels=named)
