"""The compiled mappings of destinations, kept between sessions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from app.delivery.single_flight import SingleFlight
from app.destinations import catalogs
from app.errors import DestinationBroken, UsageError
from app.event_loop import EVENT_LOOP
from app.mapping.compiled import CompiledMapping, compile_mapping

if TYPE_CHECKING:
    from app.clock import RedisClock
    from app.delivery.clients import Clients
    from app.destinations.catalogs import CatalogStore
    from app.destinations.model import Destination


class Mappings:
    """Each is good for one version of its destination and of the catalog. Safe for many threads."""

    def __init__(self, clients: Clients, store: CatalogStore, clock: RedisClock) -> None:
        self._clients = clients
        self._catalogs = store
        self._clock = clock
        self._known: dict[str, tuple[str, str, CompiledMapping]] = {}
        self._reloads: SingleFlight[CompiledMapping] = SingleFlight(0.0, EVENT_LOOP.in_fetch_thread)

    def of(self, destination: Destination, *, refresh: bool = False) -> CompiledMapping:
        """The mapping compiled against the catalog; with `refresh`, or where there is none, against definitions fetched now.

        Raises `DestinationBroken` when it names what is not there, and the `CallError` of a fetch.
        """
        found = None if refresh else self._catalogs.get(destination.id)
        if found is None:
            client = self._clients.of(destination)
            found = catalogs.refresh(destination, client, self._catalogs, self._clock.now_ms())
        known = self._known.get(destination.id)
        if known is not None and known[:2] == (destination.version, found.version):
            return known[2]
        try:
            compiled = compile_mapping(destination, found)
        except UsageError as error:
            if not refresh:
                return self.of(destination, refresh=True)  # the field may have been made since
            raise DestinationBroken(
                "; ".join(error.problems) or str(error),
                code="mapping_broken",
                remedy=f"Mend the mapping or make the field in Marketing Cloud; `activation check {destination.id}` "
                "names each; delivery goes on by itself then.",
            ) from error
        self._known[destination.id] = (destination.version, found.version, compiled)
        return compiled

    async def reload(self, destination: Destination) -> CompiledMapping:
        """`of` with `refresh`, for a coroutine; what is asked for meanwhile is answered by the same fetch."""
        return await self._reloads.get(destination.id, destination.version, lambda: self.of(destination, refresh=True))
