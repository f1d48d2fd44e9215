"""Tags of a stages repository: which of them are stages.

In: tags. Out: timestamps (ms) by stage digest. werf-compatible: `DIGEST-TS` is a stage, `DIGEST-TS-rejected` takes it back.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Final

from conveyor.plan.answers import StageDigest

StageTags = Mapping[StageDigest, tuple[int, ...]]

_STAGE_TAG: Final = re.compile(r"([0-9a-f]{56})-([0-9]{13})(-rejected)?")


def stage_tags(tags: Iterable[str]) -> StageTags:
    """Return the usable stages, oldest first; other tags are none."""
    found: dict[str, set[int]] = {}
    rejected: set[tuple[str, int]] = set()
    for tag in tags:
        match = _STAGE_TAG.fullmatch(tag)
        if match is None:
            continue
        digest, timestamp = match[1], int(match[2])
        if match[3]:
            rejected.add((digest, timestamp))
        else:
            found.setdefault(digest, set()).add(timestamp)
    return {
        StageDigest(digest): tuple(sorted(t for t in times if (digest, t) not in rejected))
        for digest, times in found.items()
    }
