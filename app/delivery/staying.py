"""Decides whether a session goes on with its lane in this process when a slice is over."""

from __future__ import annotations

from typing import TYPE_CHECKING

from app.delivery.single_flight import SingleFlight
from app.destinations.state import Status
from app.errors import SealBroken, UnknownDestination

if TYPE_CHECKING:
    from app.delivery.leads import Leads
    from app.destinations.model import Destination
    from app.resources import Resources

UNCHANGED_GOOD_SECONDS = 0.5  # how long one lane's finding holds for the destination's others


class Staying:
    """Answers all sessions of a process. Its methods raise redis-py's errors.

    `begun`: when the session began (time.monotonic()).
    """

    def __init__(self, resources: Resources, leads: Leads) -> None:
        self._states = resources.states
        self._destinations = resources.destinations
        self._sessions_at_once = resources.settings.worker_concurrency
        self._leads = leads
        self._unchanged: SingleFlight[bool] = SingleFlight(UNCHANGED_GOOD_SECONDS)

    async def stays(self, destination: Destination, lane: int, begun: float) -> bool:
        """Return whether this process is the one to work on the lane."""
        account, limits = destination.account.key, destination.limits
        return await self._leads.stays(account, limits, (destination.id, lane), begun)

    async def goes_on(self, destination: Destination, lane: int, begun: float) -> bool:
        """Return whether another slice may follow: the lane belongs here, nobody waits for its slot, and nothing has changed."""
        if not await self.stays(destination, lane, begun) or self._leads.sessions >= self._sessions_at_once:
            return False
        # the slices of a destination's lanes end at about the same time
        return await self._unchanged.get(destination.id, destination.version, self._is_unchanged, destination)

    def _is_unchanged(self, destination: Destination) -> bool:
        try:
            return (
                self._states.get(destination.id).status is Status.ENABLED
                and self._destinations.get(destination.id).version == destination.version
            )
        except (UnknownDestination, SealBroken):  # the next wake-up reports what is wrong
            return False
