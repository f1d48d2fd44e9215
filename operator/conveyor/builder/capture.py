"""The changes since the last capture as a layer in a file.

In: a snapshot. Out: a tar and what is said of it; no file where nothing changed.
"""
# ruff: noqa: PTH104, PTH108, PTH118, PTH119, PTH120

from __future__ import annotations

import os

from conveyor.builder.handover import GROWING
from conveyor.builder.layer import write_layer

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from conveyor.builder.snapshot import Snapshot


def capture(
    snapshot: Snapshot, root: bytes, within: Iterable[bytes] | None, path: str
) -> dict[str, object]:
    """Write what changed, and settle the snapshot for what comes.

    Args:
        snapshot: Of the state before.
        root: The root filesystem.
        within: See `Snapshot.changes`.
        path: Where the tar goes; it appears when it is complete.

    Returns:
        A layer of `out/RUN.json` (`docs/stage-task.md`).
    """
    # One name for whatever is being written: the courier looks for it, and begins to push what is large.
    part = os.path.join(os.path.dirname(path), GROWING)
    out = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644)
    try:
        figures = write_layer(snapshot.changes(within), root, out)
    finally:
        os.close(out)
    snapshot.settle()
    if figures.entries:
        os.rename(part, path)
    else:
        os.unlink(part)
    return {
        "file": os.path.basename(path) if figures.entries else None,
        "size": figures.size if figures.entries else 0,
        "entries": figures.entries,
        "whiteouts": figures.whiteouts,
    }
