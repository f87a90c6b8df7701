"""One wake-up of one lane: may the destination deliver, is the lane free, work at it, and what comes next.

`Delivery` is made once per worker process; everything that is worth keeping between wake-ups (tokens, compiled mappings,
the gates of accounts) lives in it; the connections belong to the process.
"""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from secrets import token_hex
from threading import Event, Lock
from typing import TYPE_CHECKING

from redis.exceptions import RedisError

from app.delivery.leads import Cpu, Leads
from app.delivery.looks import Looks
from app.delivery.loop import carry_out
from app.delivery.work import Result, Work
from app.destinations import catalogs
from app.destinations.state import State, Status
from app.errors import (
    CallError,
    DestinationBroken,
    DestinationUnreachable,
    EpochEnded,
    LeaseLost,
    UnknownDestination,
    UsageError,
)
from app.event_loop import EVENT_LOOP
from app.keys import LANES
from app.lanes.lane import ANY_WAKE_UP, Lane, announce_wake_ups
from app.lanes.outcomes import Ledger, exhausted
from app.logs import say_once
from app.mapping.compiled import CompiledMapping, compile_mapping
from app.pacing.gates import Gates
from app.round_trips import RoundTrips
from app.sfmc import MarketingCloud

if TYPE_CHECKING:
    from app.destinations.model import Destination
    from app.destinations.store import Connected
    from app.resources import Resources

SAME_LOOK_SECONDS = 0.5  # so long what one lane has found of its destination is good for the others
LONGEST_COUNTDOWN_SECONDS = 60.0  # far below the broker's visibility timeout, or a waiting wake-up would run twice
GIVE_BACK_SECONDS = 3.0

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class WakeUpResult:
    """What the task does after a wake-up: wake lanes now, at a certain `worker` or ('') whichever comes first, or come back in a while
    with `wake_up_token`.
    """

    wake: tuple[int, ...] = ()
    worker: str = ""
    come_back_seconds: float | None = None
    wake_up_token: str = ANY_WAKE_UP


class Delivery:
    """Drains lanes. One in a process, used by many threads."""

    def __init__(self, resources: Resources) -> None:
        self._r = resources
        self._settings = resources.settings
        self.stopping = Event()
        self._clients: dict[str, tuple[str, MarketingCloud]] = {}
        self._mappings: dict[str, tuple[str, str, CompiledMapping]] = {}
        self._trips = RoundTrips(resources.redis)
        self._gates = Gates(self._trips, resources.settings.calls_at_once)
        self._lock = Lock()
        self.leads = Leads(
            resources.redis,
            lease_seconds=self._settings.lease_seconds,
            lanes=self._settings.worker_concurrency,
            calls_share=self._gates.room_used_share,
            cpu_share=Cpu().share,
        )
        self._unchanged: Looks[bool] = Looks(SAME_LOOK_SECONDS)
        self._reloads: Looks[CompiledMapping] = Looks(0.0)
        self._abandoned: list[tuple[Lane, bool]] = []

    def drain(self, destination_id: str, number: int, wake_up_token: str = ANY_WAKE_UP) -> WakeUpResult:
        """Work at a lane for one slice. Raises redis-py's errors when Redis is away; everything waits in the lane."""
        self._take_back_evidence()
        try:
            connected = self._r.destinations.connected(destination_id)
        except UnknownDestination:
            say_once(log, f"gone:{destination_id}", "Wake-up for %s, which is not connected any more.", destination_id)
            return WakeUpResult()
        state = self._r.states.get(destination_id)
        if self.stopping.is_set() or state.status is Status.PAUSED:
            return WakeUpResult()
        lane = self._lane(connected, number)
        if not state.on_probation:
            return self._session(lane, connected, state)
        self._give_up_old(lane, connected, state, wake_up_token)
        state, mine = self._r.states.take_probe(destination_id, lane.token)
        if not mine:
            return self._postpone(lane, wake_up_token, max(state.wait_seconds, 1.0))
        try:
            return self._session(lane, connected, state, probe=lane.token)
        finally:
            self._r.states.leave_probe(destination_id, lane.token)

    def close(self) -> None:
        """Stop taking work; sessions under way end with what is in flight."""
        self.stopping.set()
        self.leads.end()
        self._gates.close()

    def give_back(self) -> None:
        """When all sessions have ended, close, and wait until others may have the permits that this process had.

        By themselves these end after ten seconds, for which an account that this process led would stand still.
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

    def _session(self, lane: Lane, connected: Connected, state: State, *, probe: str = "") -> WakeUpResult:
        try:
            # before the lane is taken: definitions may take longer than a lease, which nobody would renew
            error = self._fetch_ahead(connected.destination, state, probe=probe)
            if not lane.open():
                return WakeUpResult()
            with self.leads.session(connected.destination.account.key):
                result = self._work(lane, connected, probe=probe) if error is None else Result(error=error)
            return self._conclude(lane, connected.destination, result, state, probe=probe)
        except EpochEnded as ended:
            log.info("%s", ended)
            return self._abandon(lane)
        except LeaseLost as lost:
            log.warning("%s", lost)
            return self._abandon(lane)
        except RedisError:
            self._abandon(lane)
            raise
        except Exception:
            log.exception(
                "A session at lane %d of %s ended in an error that nobody foresaw.", lane.number, lane.destination_id
            )
            return self._abandon(lane, blame=True)

    def _fetch_ahead(self, destination: Destination, state: State, *, probe: str) -> CallError | None:
        """Have the mapping at hand; anew for a probe."""
        if not probe and destination.id in self._mappings:
            return None
        try:
            if probe and state.code == "missing_scope":
                self.client(destination).forget_token()
            self.mapping(destination, refresh=bool(probe))
        except CallError as error:
            return error
        return None

    def _work(self, lane: Lane, connected: Connected, *, probe: str) -> Result:
        destination, begun = connected.destination, time.monotonic()
        client = self.client(destination)
        try:
            mapping = self.mapping(destination)
        except CallError as error:
            return Result(error=error)
        work = Work(
            lane=lane,
            destination=destination,
            mapping=mapping,
            reload_mapping=lambda: self._reloads.get(
                destination.id, destination.version, lambda: self.mapping(destination, refresh=True)
            ),
            pepper=connected.pepper,
            client=client,
            gate=self._gates.of(destination.account.key, destination.limits),
            trips=self._trips,
            ring=self._r.ring,
            clock=self._r.clock,
            settings=self._settings,
            measures=self._r.measures,
            stopping=self.stopping,
            stays=lambda: self._stays(destination, lane, begun),
            goes_on=lambda: self._goes_on(connected, lane, begun),
            one_call=bool(probe),
        )
        return EVENT_LOOP.run(carry_out(work))

    async def _stays(self, destination: Destination, lane: Lane, begun: float) -> bool:
        """Whether this is the process that is to work at the lane."""
        account, limits = destination.account.key, destination.limits
        return await self.leads.stays(account, limits, (destination.id, lane.number), begun)

    async def _goes_on(self, connected: Connected, lane: Lane, begun: float) -> bool:
        """Whether a lane may be worked on without a break: here is where, nobody waits for its slot, and nothing has changed."""
        destination = connected.destination
        if not await self._stays(destination, lane, begun) or self.leads.sessions >= self._settings.worker_concurrency:
            return False
        # the slices of a destination's lanes end at about the same time
        return await self._unchanged.get(destination.id, destination.version, self._is_unchanged, connected)

    def _is_unchanged(self, connected: Connected) -> bool:
        destination = connected.destination
        try:
            return (
                self._r.states.get(destination.id).status is Status.ENABLED
                and self._r.destinations.get(destination.id).version == destination.version
            )
        except UnknownDestination:
            return False

    def _conclude(
        self, lane: Lane, destination: Destination, result: Result, state: State, *, probe: str
    ) -> WakeUpResult:
        states, seconds = self._r.states, self._settings.wake_up_seconds
        if result.epoch_ended:
            return self._abandon(lane)
        if result.error is not None:
            status = Status.STOPPED if isinstance(result.error, DestinationBroken) else Status.DEGRADED
            state, news = states.fail(
                destination.id, result.error, status=status, generation=state.generation, probe=probe
            )
            if news:
                log.error("%s is %s: %s %s", destination.id, state.status, result.error, result.error.remedy)
            return self._let_go(lane, state.wait_seconds)
        if result.wait_seconds:
            return self._let_go(lane, result.wait_seconds)
        others = [n for n in result.moved_to if n != lane.number]
        if probe and result.answered and states.succeed(destination.id, probe):
            log.info("%s answers again; delivery goes on.", destination.id)
            others = [n for n in range(LANES) if n != lane.number]
        left = lane.release(wake_up_seconds=seconds)
        woken = announce_wake_ups(self._r.redis, destination.id, others, wake_up_seconds=seconds)
        return WakeUpResult((*([lane.number] if left else []), *woken), self.leads.leader(destination.account.key))

    def _abandon(self, lane: Lane, *, blame: bool = False) -> WakeUpResult:
        """Leave a lane whose last steps are uncertain. If Redis cannot be told now, it is told before the next session."""
        try:
            woken = lane.abandon(wake_up_seconds=self._settings.wake_up_seconds, blame=blame)
        except RedisError:
            with self._lock:
                self._abandoned.append((lane, blame))
            return WakeUpResult()
        return WakeUpResult((lane.number,)) if woken else WakeUpResult()

    def _take_back_evidence(self) -> None:
        """This process is alive: lanes that it had to leave without a word are no crash of it."""
        while self._abandoned:
            with self._lock:
                if not self._abandoned:
                    return
                lane, blame = self._abandoned.pop()
            try:
                lane.abandon(wake_up_seconds=self._settings.wake_up_seconds, blame=blame)
            except RedisError:
                with self._lock:
                    self._abandoned.append((lane, blame))
                raise

    def _let_go(self, lane: Lane, wait_seconds: float) -> WakeUpResult:
        """Release the lane, to come back after a wait if anything is left."""
        countdown = min(max(wait_seconds, 0.1), LONGEST_COUNTDOWN_SECONDS)
        wake_up_token = token_hex(8)
        if lane.release(wake_up_seconds=countdown + self._settings.wake_up_seconds, wake_up_token=wake_up_token):
            return WakeUpResult(come_back_seconds=countdown, wake_up_token=wake_up_token)
        return WakeUpResult()

    def _postpone(self, lane: Lane, wake_up_token: str, wait_seconds: float) -> WakeUpResult:
        countdown = min(wait_seconds, LONGEST_COUNTDOWN_SECONDS)
        new_token = token_hex(8)
        if lane.postpone(wake_up_token, new_token, wake_up_seconds=countdown + self._settings.wake_up_seconds):
            return WakeUpResult(come_back_seconds=countdown, wake_up_token=new_token)
        return WakeUpResult()

    def _give_up_old(self, lane: Lane, connected: Connected, state: State, wake_up_token: str) -> None:
        """When nobody has answered for the whole retry window, what has waited that long is set aside for replay.

        A stopped destination keeps its backlog: there someone has to act, however long that takes.
        """
        window_ms = int(self._settings.retry_window_seconds * 1000)
        now = self._r.clock.now_ms()
        if state.status is not Status.DEGRADED or state.tries < self._settings.retry_minimum:
            return
        destination_id = connected.destination.id
        try:
            if now - state.since_ms < window_ms or not lane.open():
                return
            error = exhausted(DestinationUnreachable(state.text, code=state.code, remedy=state.remedy), state.tries)
            ledger = Ledger(destination_id, self._r.ring, self._settings, self._r.measures)
            for entry in lane.waiting(most=self._settings.window_size):
                if now - entry.origin.stamp_ms >= window_ms:
                    ledger.fail(entry, error, now_ms=now)
            if ledger.pending:
                lane.settling(ledger.take(), hour=now // 3_600_000).run(self._r.redis)
        except LeaseLost:
            return
        # under the token it came with, so that this very wake-up may come back
        lane.release(wake_up_seconds=self._settings.wake_up_seconds, wake_up_token=wake_up_token)

    # -- what is kept between sessions ---------------------------------------------------------------------------------

    def client(self, destination: Destination) -> MarketingCloud:
        """The client of the destination's account; a replaced destination gets a new one."""
        with self._lock:
            known = self._clients.get(destination.id)
            if known is None or known[0] != destination.version:
                known = (destination.version, self._r.client(destination))
                self._clients[destination.id] = known
            return known[1]

    def mapping(self, destination: Destination, *, refresh: bool = False) -> CompiledMapping:
        """The mapping compiled against the catalog. Raises `DestinationBroken` when it names what is not there."""
        found = None if refresh else self._r.catalogs.get(destination.id)
        if found is None:
            found = catalogs.refresh(destination, self.client(destination), self._r.catalogs, self._r.clock.now_ms())
        known = self._mappings.get(destination.id)
        if known is not None and known[:2] == (destination.version, found.version):
            return known[2]
        try:
            compiled = compile_mapping(destination, found)
        except UsageError as error:
            if not refresh:
                return self.mapping(destination, refresh=True)  # the field may have been made since
            raise DestinationBroken(
                "; ".join(error.problems) or str(error),
                code="mapping_broken",
                remedy=f"Mend the mapping or make the field in Marketing Cloud; `activation check {destination.id}` "
                "names each; delivery goes on by itself then.",
            ) from error
        self._mappings[destination.id] = (destination.version, found.version, compiled)
        return compiled
