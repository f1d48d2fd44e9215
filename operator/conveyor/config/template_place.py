"""An exception of a rendering → the place in a template at which it was raised, and what caused it.

In: the exception, the template sources by name. Out: name and 1-based line. The engine places its own errors; for the
others (no memory, no time) the place is read from the frames of the engine, as far as they tell.
"""

from collections.abc import Iterator, Mapping
from types import FrameType

Place = tuple[str, int]


def cause_of(error: BaseException, *kinds: type[BaseException]) -> BaseException | None:
    """Return the error itself or the first one behind it that is of one of the kinds."""
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, kinds):
        cause = cause.__cause__
    return cause


def place_of(error: BaseException, sources: Mapping[str, str]) -> Place | None:
    """Return where the innermost template was, line 0 when it was not executed yet."""
    name, line = getattr(error, "source_name", ""), getattr(error, "line", None)
    if name in sources and isinstance(line, int):
        return name, line
    places = (_place(frame, sources) for frame in _frames(error))
    return next((place for place in places if place is not None), None)


def _frames(error: BaseException) -> Iterator[FrameType]:
    """Innermost frame first."""
    frames: list[FrameType] = []
    step = error.__traceback__
    while step is not None:
        frames.append(step.tb_frame)
        step = step.tb_next
    return reversed(frames)


def _place(frame: FrameType, sources: Mapping[str, str]) -> Place | None:
    if not frame.f_globals.get("__name__", "").startswith("gotpl."):
        return None
    location = frame.f_locals.get("_location")
    # At the very start of a template the place that called it says more.
    if location is not None and location.position and location.source_name in sources:
        before = location.source.encode()[: location.position]
        return location.source_name, before.count(b"\n") + 1
    compiled = frame.f_locals.get("source")
    return next(((name, 0) for name, text in sources.items() if text is compiled), None)
