"""`python -m conveyor.builder.courier_start`: a courier that nobody waits for holds back.

In: as of `conveyor.builder.courier`. Out: its exit code. Pods that start side by side take each other's processors, and importing
is most of what a courier does at first. So as long as the node is busy it looks for the end of its stage's first run, with
next to nothing imported, and goes on after some seconds at the latest.
"""
# Light on purpose: no typing, no pathlib, no signal.
# ruff: noqa: PTH123

import os
import sys
import time

from conveyor.builder.handover import DIRECTORY, take

_SECONDS = 3.0
_PAUSE = 0.004
_QUIET = 12  # looks in a row: while pods start, a node is idle for moments only
_BEGUN = "began.json"
_ENDED = ("0.json", "done.json")


def hold_back(place: str, seconds: float = _SECONDS) -> int | None:
    """Wait until the node is not busy, at the latest until the stage's first run has ended or so many seconds have passed.

    Args:
        place: Path of the shared directory; "": the stage container hands it over.
        seconds: The longest wait.

    Returns:
        A descriptor of the directory; None when it cannot be had: that is told by who needs it.
    """
    deadline = time.monotonic() + seconds
    try:
        shared = os.open(place, DIRECTORY) if place else take(seconds)
    except OSError:
        return None
    if shared is None:
        return None
    quiet = 0
    while time.monotonic() < deadline and quiet < _QUIET:
        if any(_has(shared, name) for name in _ENDED):
            break
        quiet = quiet + 1 if _has(shared, _BEGUN) and not node_is_busy() else 0
        time.sleep(_PAUSE)
    return shared


def _has(shared: int, name: str) -> bool:
    try:
        os.stat(f"out/{name}", dir_fd=shared, follow_symlinks=False)
    except OSError:
        return False
    return True


def node_is_busy(loadavg: str = "/proc/loadavg") -> bool:
    """Whether more threads want a processor than there are (proc(5): it counts them for the whole machine)."""
    try:
        with open(loadavg, encoding="ascii") as file:
            runnable = file.read().split()[3].partition("/")[0]
    except (OSError, IndexError):
        return False
    return int(runnable) > (os.cpu_count() or 1)


if __name__ == "__main__":
    held = hold_back(os.environ.get("CONVEYOR_IO", ""))
    from conveyor.builder import courier

    code = courier.main(os.environ, held)
    sys.stdout.flush()
    os._exit(code)  # see `conveyor.builder.courier`
