"""What a session is given, and the results of a session and of a wake-up."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from app.lanes.lane import ANY_WAKE_UP

if TYPE_CHECKING:
    from threading import Event

    from app.delivery.in_a_row import InARow
    from app.delivery.mappings import Mappings
    from app.delivery.staying import Staying
    from app.destinations.model import Destination
    from app.destinations.store import Connected
    from app.errors import CallError
    from app.lanes.lane import Lane
    from app.mapping.compiled import CompiledMapping
    from app.pacing.gate import Gate
    from app.reporting.measures import Measures
    from app.round_trips import RoundTrips
    from app.sealing import KeyRing
    from app.settings import Settings
    from app.sfmc import MarketingCloud


@dataclass(frozen=True, slots=True)
class Shared:
    """What all sessions of a process share."""

    settings: Settings
    ring: KeyRing
    measures: Measures
    trips: RoundTrips
    mappings: Mappings
    staying: Staying
    doubts: InARow
    refused_forms: InARow
    stopping: Event


@dataclass(frozen=True, slots=True)
class Work:
    """What one session works on and with.

    `generation`: identifies the destination's connection and state. `is_probe`: it makes one call, to find out whether the trouble
      with `trouble_code` is over.
    """

    shared: Shared
    lane: Lane
    connected: Connected
    generation: str
    mapping: CompiledMapping
    client: MarketingCloud
    gate: Gate
    is_probe: bool = False
    trouble_code: str = ""

    @property
    def destination(self) -> Destination:
        return self.connected.destination


@dataclass(frozen=True, slots=True)
class Result:
    """How a session ended.

    `error`: the destination as a whole failed. `wait_seconds`: how long to wait before coming back. `moved_to`: lanes that
      got entries from this one. `epoch_ended`: the destination was reconnected; unsettled entries are still in the lane.
    """

    answered: int = 0
    error: CallError | None = None
    wait_seconds: float = 0.0
    moved_to: frozenset[int] = frozenset()
    epoch_ended: bool = False


@dataclass(frozen=True, slots=True)
class WakeUpResult:
    """What the task does after a wake-up.

    It sends wake-ups to the lanes in `wake`, for this `worker` or for any (''). It comes back with `wake_up_token` after
    `come_back_seconds`, unless that is None.
    """

    wake: tuple[int, ...] = ()
    worker: str = ""
    come_back_seconds: float | None = None
    wake_up_token: str = ANY_WAKE_UP
