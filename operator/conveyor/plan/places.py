"""Which part of the config a question about git comes from.

In: a `WerfConfig`, a question that could not be answered. Out: the place to name in the message. Adapters of git know nothing of
configs, and a person has to know which line to correct.
"""

from collections.abc import Iterator

from conveyor.config.model import DockerfileImage, GitMapping, StapelImage, WerfConfig
from conveyor.config.source_line import SourceLine
from conveyor.plan.mappings import filter_of
from conveyor.plan.questions import ContextChecksum, ContextHash, Question, RemoteHead, TreeChecksum
from conveyor.plan.remotes import head_of


def place_of(config: WerfConfig, question: Question) -> SourceLine | None:
    """Return the line of the first git mapping or Dockerfile image that asks this, None for what no line says."""
    places = (place for image in config.images for place in _asking(image, question))
    return next(places, None)


def _asking(image: StapelImage | DockerfileImage, question: Question) -> Iterator[SourceLine]:
    if isinstance(image, StapelImage):
        yield from (mapping.at for mapping in image.git if _asks(mapping, question))
    elif _asks_context(image, question):
        yield image.at


def _asks(mapping: GitMapping, question: Question) -> bool:
    if isinstance(question, RemoteHead):
        return mapping.remote is not None and head_of(mapping.remote) == question
    return (
        isinstance(question, TreeChecksum)
        and question.repo == mapping.repository
        and question.filter == filter_of(mapping)
    )


def _asks_context(image: DockerfileImage, question: Question) -> bool:
    return (
        isinstance(question, ContextChecksum | ContextHash)
        and question.dockerfile == image.dockerfile
    )
