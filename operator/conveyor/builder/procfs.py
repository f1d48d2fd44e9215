"""What the kernel tells of this process.

In: nothing. Out: the text of its mounts, and its peak memory in bytes.
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
