"""How much may be in work at once. Pure."""

from __future__ import annotations


class Room:
    """For bodies of so many bytes together; into one that is empty goes any."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._taken = 0

    @property
    def full(self) -> bool:
        return self._taken >= self._most

    def enter(self, size: int) -> bool:
        """Whether it goes in; then its size is taken until `leave`."""
        if self._taken and self._taken + size > self._most:
            return False
        self._taken += size
        return True

    def leave(self, size: int) -> None:
        self._taken -= size
