"""Handles one wake-up of one lane: checks the destination, takes the lane, runs the session and says what follows.

A worker process has one `Delivery`, which keeps whatever is worth keeping between wake-ups: tokens, compiled mappings, the
gates of accounts. Connections belong to the process.
"""

from __future__ import annotations

import logging
from threading import Event
from typing import TYPE_CHECKING

from redis.exceptions import RedisError

from app.delivery.abandoned import Abandoned, Wake
from app.delivery.clients import Clients
from app.delivery.conclusion import Conclusion
from app.delivery.giving_up import give_up_old
from app.delivery.in_a_row import InARow
from app.delivery.leads import Cpu, Leads
from app.delivery.loop import carry_out
from app.delivery.mappings import Mappings
from app.delivery.next_wake_up import WakeUpAction, choose_action
from app.delivery.staying import Staying
from app.delivery.work import Result, Shared, WakeUpResult, Work
from app.errors import AccountThrottled, CallError, EpochEnded, LeaseLost, UnknownDestination
from app.event_loop import EVENT_LOOP
from app.lanes.lane import ANY_WAKE_UP, Lane
from app.logs import say_once
from app.pacing.gates import Gates
from app.pacing.shown import read_pace
from app.round_trips import RoundTrips

if TYPE_CHECKING:
    from app.destinations.model import Destination
    from app.destinations.state import State
    from app.destinations.store import Connected
    from app.mapping.compiled import CompiledMapping
    from app.resources import Resources

GIVE_BACK_SECONDS = 3.0

log = logging.getLogger(__name__)


class Delivery:
    """Works through lanes. One per process, safe to share between threads.

    `wake` sends wake-ups to lanes other than the current one; without it the sweep does.
    """

    def __init__(self, resources: Resources, wake: Wake = lambda *_: None) -> None:
        self._r = resources
        self._settings = resources.settings
        self._wake = wake
        self.stopping = Event()
        trips = RoundTrips(resources.redis)
        self._gates = Gates(trips, resources.settings.calls_at_once)
        self.leads = Leads(
            resources.redis,
            lease_seconds=self._settings.lease_seconds,
            lanes=self._settings.worker_concurrency,
            calls_share=self._gates.room_used_share,
            cpu_share=Cpu().share,
        )
        clients = Clients(resources.client)
        self.mappings = Mappings(resources, clients)
        self.client, self.mapping = clients.of, self.mappings.of
        self.staying = Staying(resources, self.leads)
        self._shared = Shared(
            settings=self._settings,
            ring=resources.ring,
            measures=resources.measures,
            trips=trips,
            mappings=self.mappings,
            staying=self.staying,
            doubts=InARow(),
            refused_forms=InARow(),
            stopping=self.stopping,
        )
        self._abandoned = Abandoned(wake_up_seconds=self._settings.wake_up_seconds)
        self._conclusion = Conclusion(resources, self.leads, self._abandoned)

    def drain(self, destination_id: str, number: int, wake_up_token: str = ANY_WAKE_UP) -> WakeUpResult:
        """Work on a lane until it is empty or it is others' turn.

        Raises: redis-py's errors; entries then stay in the lane.
        """
        self._abandoned.tell(self._wake)
        try:
            connected = self._r.destinations.connected(destination_id)
        except UnknownDestination:
            say_once(log, f"gone:{destination_id}", "Wake-up for %s, which is not connected any more.", destination_id)
            return WakeUpResult()
        state = self._r.states.get(destination_id)
        lane = self._lane(connected, number)
        match choose_action(state, stopping=self.stopping.is_set()):
            case WakeUpAction.IGNORE:
                return WakeUpResult()
            case WakeUpAction.WORK:
                return self._session(lane, connected, state)
            case WakeUpAction.PROBE:
                return self._probe(lane, connected, state, wake_up_token)

    def close(self) -> None:
        """Stop taking work; running sessions end after their calls in flight."""
        self.stopping.set()
        self.leads.end()
        self._gates.close()

    def give_back(self) -> None:
        """Close, and wait until other processes may use the permits that this one held. Call it when all sessions have ended.

        Otherwise the permits expire after ten seconds, in which an account that this process led would stand still.
        """
        self.close()
        if not self._gates.wait_until_they_rest(GIVE_BACK_SECONDS):
            log.warning("Redis does not answer: what this worker held of its accounts' permits ends by itself.")

    # -- one session ---------------------------------------------------------------------------------------------------

    def _lane(self, connected: Connected, number: int) -> Lane:
        destination, settings = connected.destination, self._settings
        return Lane(
            self._r.redis,
            destination.id,
            number,
            epoch=connected.epoch,
            holdings=destination.holdings,
            lease_seconds=settings.lease_seconds,
            margin_seconds=settings.lease_margin_seconds,
        )

    def _probe(self, lane: Lane, connected: Connected, state: State, wake_up_token: str) -> WakeUpResult:
        """Run a session of one call, if it is due, nobody else makes it and the account is not paused."""
        give_up_old(self._r, lane, state, wake_up_token)
        account, limits = connected.destination.account.key, connected.destination.limits
        if wait_seconds := read_pace(self._r.redis, account, limits).wait_seconds:
            return self._conclusion.postpone(lane, wake_up_token, wait_seconds)
        state, mine = self._r.states.take_probe(lane.destination_id, lane.token)
        if not mine:
            return self._conclusion.postpone(lane, wake_up_token, state.wait_seconds)
        try:
            return self._session(lane, connected, state, is_probe=True)
        finally:
            self._r.states.leave_probe(lane.destination_id, lane.token)

    def _session(self, lane: Lane, connected: Connected, state: State, *, is_probe: bool = False) -> WakeUpResult:
        try:
            # before the lane is taken: fetching definitions may take longer than a lease, which nobody would renew
            mapping = self._prepare(connected.destination, state, is_probe=is_probe)
            if not lane.open():
                return WakeUpResult()
            # the destination's state says when the next probe is due
            if isinstance(mapping, AccountThrottled) and not is_probe:
                result = Result(wait_seconds=self._leave_alone(connected.destination, mapping.wait_seconds or 0.0))
            elif isinstance(mapping, CallError):
                result = Result(error=mapping)
            else:
                with self.leads.session(connected.destination.account.key):
                    result = self._work(lane, connected, state, mapping, is_probe=is_probe)
            return self._conclusion.conclude(lane, connected.destination, result, state, is_probe=is_probe)
        except EpochEnded as ended:
            log.info("%s", ended)
            return self._conclusion.leave(lane)
        except LeaseLost as lost:
            log.warning("%s", lost)
            return self._conclusion.leave(lane)
        except RedisError:
            self._conclusion.leave(lane)
            raise
        except Exception:
            log.exception("A session at lane %d of %s ended in an unexpected error.", lane.number, lane.destination_id)
            return self._conclusion.leave(lane, blame=True)

    def _prepare(self, destination: Destination, state: State, *, is_probe: bool) -> CompiledMapping | CallError:
        """Return the mapping (for a probe, compiled against definitions fetched now), or the error why there is none."""
        try:
            if is_probe and state.code == "missing_scope":
                self.client(destination).forget_token()
            return self.mapping(destination, refresh=is_probe)
        except CallError as error:
            return error

    def _leave_alone(self, destination: Destination, seconds: float) -> float:
        """Pause an account that already throttled the fetch of definitions. Returns `seconds`."""
        EVENT_LOOP.call(self._gates.of(destination.account.key, destination.limits).pause, seconds)
        return seconds

    def _work(
        self, lane: Lane, connected: Connected, state: State, mapping: CompiledMapping, *, is_probe: bool
    ) -> Result:
        destination = connected.destination
        work = Work(
            shared=self._shared,
            lane=lane,
            connected=connected,
            generation=f"{connected.epoch} {state.generation}",
            mapping=mapping,
            client=self.client(destination),
            gate=self._gates.of(destination.account.key, destination.limits),
            is_probe=is_probe,
            trouble_code=state.code,
        )
        return EVENT_LOOP.run(carry_out(work))
