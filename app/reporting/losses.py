"""Counts what is lost when a destination is disconnected."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from app.errors import UnknownDestination
from app.lanes.failures import count_failures
from app.reporting.runs import read_backlog

if TYPE_CHECKING:
    from app.resources import Resources


@dataclass(frozen=True, slots=True)
class Losses:
    """Numbers of profiles that would be lost."""

    waiting: int
    failed: int

    @property
    def total(self) -> int:
        return self.waiting + self.failed

    def __str__(self) -> str:
        return f"{self.waiting} waiting, {self.failed} failed"


def find_losses(resources: Resources, destination_id: str) -> Losses:
    """Return what would be lost with a destination, even if no key opens it or its removal was interrupted.

    Raises: `UnknownDestination` if it is not listed.
    """
    listed = resources.destinations.ids()
    if destination_id not in listed:
        raise UnknownDestination(destination_id, listed)
    waiting = read_backlog(resources.redis, destination_id).total
    return Losses(waiting, count_failures(resources.redis, destination_id))
