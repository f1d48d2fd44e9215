"""The machine that this process runs on.

In: nothing. Out: its platform, as digests and registries name it.
"""

import platform

from conveyor.config.platforms import LINUX, normal_platform


def own_platform() -> str:
    """Return `linux/architecture` of the machine: containers that it runs are of Linux."""
    return normal_platform(f"{LINUX}/{platform.machine()}")
