"""The cache versions of `shell` and of `ansible`: the common one and one for every user stage.

In: a section. Out: texts, "" and missing where unset.
"""

from collections.abc import Mapping
from typing import Final

from conveyor.config.model import USER_STAGES, UserStageName
from conveyor.config.raw import Section

_COMMON: Final = "cacheVersion"
_KEYS: Final[Mapping[UserStageName, str]] = {stage: f"{stage}CacheVersion" for stage in USER_STAGES}
VERSION_KEYS: Final = (_COMMON, *_KEYS.values())


def cache_versions(section: Section) -> tuple[str, Mapping[UserStageName, str]]:
    """Return the common version and those of single stages."""
    found = {stage: section.text(key) for stage, key in _KEYS.items()}
    return section.text(_COMMON), {stage: text for stage, text in found.items() if text}
