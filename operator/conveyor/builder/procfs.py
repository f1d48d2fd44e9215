"""What the kernel tells of this process.

In: nothing. Out: the text of its mounts, its peak memory in bytes, whether memory ran out in this container.
"""
# ruff: noqa: PTH123 - part of the tools layer, where pathlib would cost start-up time

from __future__ import annotations


def mountinfo() -> bytes:
    """The mounts of this container, as `/proc/self/mountinfo` has them."""
    with open("/proc/self/mountinfo", "rb") as file:
        return file.read()


def peak_rss() -> int:
    """Most memory this program held so far, in bytes; 0 if unknown."""
    with open("/proc/self/status", "rb") as file:
        for line in file:
            if line.startswith(b"VmHWM:"):
                return int(line.split()[1]) * 1024
    return 0


def oom_kills() -> int:
    """How many processes of this container the kernel ended for want of memory; 0 if it does not tell."""
    for path in ("/sys/fs/cgroup/memory.events", "/sys/fs/cgroup/memory/memory.oom_control"):
        try:
            with open(path, "rb") as file:
                counts = dict(line.split() for line in file)
        except (OSError, ValueError):
            continue
        if b"oom_kill" in counts:
            return int(counts[b"oom_kill"])
    return 0
