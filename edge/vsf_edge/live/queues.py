"""Bounded queues between the threads of the loop: the newest frame wins, or whoever is ahead waits."""

from __future__ import annotations

import threading
from collections import deque
from typing import Generic, TypeVar

Item = TypeVar("Item")


class ClosedError(Exception):
    """Nothing more comes out of a queue, or goes in."""


class BoundedQueue(Generic[Item]):
    """Hands items from one thread to another; holds at most `capacity` of them.

    Closing it lets what is in it still come out.
    """

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._items: deque[Item] = deque()
        self._changed = threading.Condition()
        self._closed = False

    def __len__(self) -> int:
        return len(self._items)

    def wait_for_room(self, timeout: float | None = None) -> bool:
        """Wait until there is room for one; False when there is none within `timeout` seconds.

        Raises
        ------
        ClosedError
            When it is closed.
        """
        with self._changed:
            return self._wait_for_room(timeout)

    def put(self, item: Item, timeout: float | None = None) -> bool:
        """Put `item` in, waiting for room; False when there is none within `timeout` seconds.

        Raises
        ------
        ClosedError
            When it is closed.
        """
        with self._changed:
            if not self._wait_for_room(timeout):
                return False
            self._items.append(item)
            self._changed.notify_all()
            return True

    def put_newest(self, item: Item) -> Item | None:
        """Put `item` in at once; gives the oldest one, which made room for it, or None.

        Raises
        ------
        ClosedError
            When it is closed.
        """
        with self._changed:
            if self._closed:
                raise ClosedError
            old = self._items.popleft() if len(self._items) >= self._capacity else None
            self._items.append(item)
            self._changed.notify_all()
            return old

    def get(self, timeout: float | None = None) -> Item | None:
        """Take the oldest one out; None when there is none within `timeout` seconds.

        Raises
        ------
        ClosedError
            When it is closed, and empty.
        """
        with self._changed:
            self._changed.wait_for(lambda: bool(self._items) or self._closed, timeout)
            if self._items:
                item = self._items.popleft()
                self._changed.notify_all()
                return item
            if self._closed:
                raise ClosedError
            return None

    def close(self, empty: bool = False) -> int:
        """Take nothing more; with `empty`, forget what is in it. Gives how many were forgotten."""
        with self._changed:
            forgotten = len(self._items) if empty else 0
            if empty:
                self._items.clear()
            self._closed = True
            self._changed.notify_all()
            return forgotten

    def _wait_for_room(self, timeout: float | None) -> bool:
        self._changed.wait_for(lambda: len(self._items) < self._capacity or self._closed, timeout)
        if self._closed:
            raise ClosedError
        return len(self._items) < self._capacity
