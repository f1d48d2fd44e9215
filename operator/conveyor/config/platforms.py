"""Names of platforms: `os/architecture[/variant]` in the one spelling that digests, registries and nodes know.

In: what a person writes. Out: the usual name, its parts. Source: containerd platforms.Normalize, which werf uses too.
"""

import re
from typing import Final

LINUX: Final = "linux"

_PLATFORM: Final = re.compile(r"[a-z0-9]+/[a-z0-9_]+(?:/[a-z0-9_.]+)?\Z")
_ARCHITECTURES: Final = {"x86_64": "amd64", "x86-64": "amd64", "aarch64": "arm64", "i386": "386"}
_ARM: Final = {"armhf": ["arm", "v7"], "armel": ["arm", "v6"]}
_OSES: Final = ("linux", "windows", "darwin", "freebsd")
_USUAL: Final = (["arm64", "v8"], ["arm64", "8"], ["amd64", "v1"])


def is_platform(text: str) -> bool:
    """Whether the text is OS/ARCHITECTURE, perhaps with a variant."""
    return _PLATFORM.match(text) is not None


def normal_platform(text: str) -> str:
    """Return `os/arch[/variant]` in the usual spelling: `aarch64` is linux/arm64, arm64/v8 is arm64, arm is arm/v7."""
    parts = text.lower().split("/")
    if parts[0] not in _OSES:
        parts.insert(0, LINUX)
    parts[1:2] = [_ARCHITECTURES.get(part, part) for part in parts[1:2]]
    if parts[1:] in _USUAL:
        parts.pop()
    if parts[1:] == ["arm"]:
        parts.append("v7")
    if len(parts) == 2:
        parts[1:] = _ARM.get(parts[1], parts[1:])
    return "/".join(parts)


def machine_of(platform: str) -> str:
    """Return `os/architecture`: the machine whose programs can run, whatever the variant."""
    return "/".join(platform.split("/")[:2])


def system_of(platform: str) -> str:
    """Return the operating system of a platform."""
    return platform.partition("/")[0]


def architecture_of(platform: str) -> str:
    """Return the architecture, which is also a node's label `kubernetes.io/arch`."""
    return platform.split("/")[1]
