"""The names that a config declares → whether a reference means one of them or something in a registry.

In: the names of images and artifacts. Out: judgements about `from`, `import` and `dependencies` values.
"""

import re
from dataclasses import dataclass
from functools import cached_property
from typing import Final

from conveyor.config.near import near

NAMELESS: Final = ""

_LONGEST_REFERENCE: Final = 1024
_COMPONENT: Final = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_DOMAIN: Final = r"(?:[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*|\[[0-9a-fA-F:]+\])(?::[0-9]+)?"
_REFERENCE: Final = re.compile(
    rf"(?:{_DOMAIN}/)?{_COMPONENT}(?:/{_COMPONENT})*"
    r"(?::(?P<tag>\w[\w.-]{0,127}))?"
    r"(?:@(?P<digest>[A-Za-z][A-Za-z0-9]*(?:[-_+.][A-Za-z][A-Za-z0-9]*)*:[0-9a-fA-F]{32,}))?\Z",
    re.ASCII,
)


def is_reference(reference: str) -> bool:
    """Whether the text is an image reference at all."""
    return len(reference) <= _LONGEST_REFERENCE and _REFERENCE.match(reference) is not None


def has_tag_or_digest(reference: str) -> bool:
    """Whether the text is an image reference that names a tag or a digest (werf: raw_import.go)."""
    if len(reference) > _LONGEST_REFERENCE:
        return False
    match = _REFERENCE.match(reference)
    return match is not None and bool(match["tag"] or match["digest"])


@dataclass(frozen=True)
class Names:
    """What is declared in one config."""

    images: frozenset[str]
    artifacts: frozenset[str]

    @cached_property
    def all(self) -> frozenset[str]:
        """Images and artifacts."""
        return self.images | self.artifacts

    def unknown_image(self, name: str) -> str:
        """Say that no image has the name, and which ones are near."""
        return f"image {shown(name)} is not described in this config{self._hint(name, self.all)}"

    def unknown_artifact(self, name: str) -> str:
        """Say that no artifact has the name, and which ones are near."""
        if name in self.images:
            return f"{shown(name)} is an image, not an artifact; refer to it with the image key"
        return f"artifact {shown(name)} is not described in this config{self._hint(name, self.artifacts)}"

    def _hint(self, name: str, known: frozenset[str]) -> str:
        candidates = sorted(known - {NAMELESS})
        if not candidates:
            return "; it describes none with a name"
        rest = f" and {len(candidates) - 10} more" if len(candidates) > 10 else ""
        return near(name, candidates) or f"; there are {', '.join(candidates[:10])}{rest}"


def shown(name: str) -> str:
    """Return an image name as werf logs it; `~` for the nameless image."""
    return f'"{name}"' if name else "~"
