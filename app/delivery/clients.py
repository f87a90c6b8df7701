"""The clients of destinations' accounts, kept between sessions with their tokens and connections."""

from __future__ import annotations

from collections.abc import Callable
from threading import Lock
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from app.destinations.model import Destination
    from app.sfmc import MarketingCloud


class Clients:
    """One client for each destination, created by `make`. Safe to share between threads."""

    def __init__(self, make: Callable[[Destination], MarketingCloud]) -> None:
        self._make = make
        self._lock = Lock()
        self._known: dict[str, tuple[str, MarketingCloud]] = {}  # destination id -> (version, client)

    def of(self, destination: Destination) -> MarketingCloud:
        """Return the client of the destination's account; a replaced destination gets a new one."""
        with self._lock:
            version, client = self._known.get(destination.id, ("", None))
            if client is None or version != destination.version:
                client = self._make(destination)
                self._known[destination.id] = (destination.version, client)
            return client
