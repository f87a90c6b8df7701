"""What a session is given, what comes of it, and of its wake-up."""

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
    """What all sessions of a process work with."""

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
    """What one session works at, and with. `generation` is of the destination: of its connection and its state.

    A probe makes one call and finds out whether the trouble with this code is over.
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

    `error` stands for the destination as a whole; `wait_seconds` before coming back. `moved_to` are the lanes that got entries
    of this one. `epoch_ended`: the destination was connected anew; what was not settled is still in the lane.
    """

    answered: int = 0
    error: CallError | None = None
    wait_seconds: float = 0.0
    moved_to: frozenset[int] = frozenset()
    epoch_ended: bool = False


@dataclass(frozen=True, slots=True)
class WakeUpResult:
    """What the task does after a wake-up: send wake-ups to the lanes in `wake`, for this `worker` or ('') for any; and come back with
    `wake_up_token` after `come_back_seconds`, unless that is None.
    """

    wake: tuple[int, ...] = ()
    worker: str = ""
    come_back_seconds: float | None = None
    wake_up_token: str = ANY_WAKE_UP
