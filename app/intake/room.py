"""Bounds how much may be in work at once. Pure."""

from __future__ import annotations


class Room:
    """Room for bodies of up to `most` bytes together; an empty room takes a body of any size."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._taken = 0

    @property
    def full(self) -> bool:
        return self._taken >= self._most

    def enter(self, size: int) -> bool:
        """Take room for `size` bytes until `leave`. Returns whether there was room."""
        if self._taken and self._taken + size > self._most:
            return False
        self._taken += size
        return True

    def leave(self, size: int) -> None:
        self._taken -= size
