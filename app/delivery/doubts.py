"""Contacts whose calls came to nothing, in a row over all lanes of a process: a few of each lane tell as much as many of one. Pure."""

from __future__ import annotations

LIFE_SECONDS = 600.0  # a call that came to nothing longer ago tells nothing of now


class Doubts:
    """By destination. For coroutines of one event loop. Times are of time.monotonic()."""

    def __init__(self) -> None:
        self._noted: dict[str, dict[str, float]] = {}

    def note(self, destination_id: str, contact_key: str, now: float) -> int:
        """A call came to nothing; of how many contacts that is true since one was answered."""
        noted = {key: at for key, at in self._noted.get(destination_id, {}).items() if now - at < LIFE_SECONDS}
        noted[contact_key] = now
        self._noted[destination_id] = noted
        return len(noted)

    def answered(self, destination_id: str) -> None:
        """A call was answered: it is not the destination."""
        self._noted.pop(destination_id, None)
