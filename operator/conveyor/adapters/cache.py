"""A bounded memory of immutable things, and one maker at a time for each of them.

In: keys and values. Out: the value, or None. The least recently used entry goes first.
"""

import asyncio
from collections import OrderedDict
from typing import Generic, TypeVar
from weakref import WeakValueDictionary

K = TypeVar("K")
V = TypeVar("V")


class LruCache(Generic[K, V]):
    """A mapping of at most `size` entries."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._entries: OrderedDict[K, V] = OrderedDict()

    def get(self, key: K) -> V | None:
        """Return the value and mark it as used; threads may ask while another one sets."""
        try:
            self._entries.move_to_end(key)
            return self._entries[key]
        except KeyError:
            return None

    def values(self) -> tuple[V, ...]:
        """Return all values."""
        return tuple(self._entries.values())

    def pop(self, key: K) -> None:
        """Forget the key, if it is known."""
        self._entries.pop(key, None)

    def __setitem__(self, key: K, value: V) -> None:
        self._entries[key] = value
        self._entries.move_to_end(key)
        while len(self._entries) > self._size:
            self._entries.popitem(last=False)


class KeyedLocks(Generic[K]):
    """Locks by key, for what only one task of the process should make at a time."""

    def __init__(self) -> None:
        self._locks: WeakValueDictionary[K, asyncio.Lock] = WeakValueDictionary()

    def of(self, key: K) -> asyncio.Lock:
        """Return the lock of a key; it lives as long as somebody holds it or waits for it."""
        return self._locks.setdefault(key, asyncio.Lock())
