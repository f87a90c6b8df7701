"""The compiled mappings of destinations, kept between sessions."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from app.delivery.single_flight import SingleFlight
from app.destinations import catalogs
from app.errors import AccountThrottled, DestinationBroken, Throttle, UsageError
from app.event_loop import EVENT_LOOP
from app.mapping.compiled import CompiledMapping, compile_mapping
from app.pacing.shown import read_pace

if TYPE_CHECKING:
    from app.delivery.clients import Clients
    from app.destinations.model import Destination
    from app.mapping.catalog import Catalog
    from app.resources import Resources


class Mappings:
    """Compiled mappings, each valid for one version of its destination and of the catalog. Safe to share between threads."""

    def __init__(self, resources: Resources, clients: Clients) -> None:
        self._r = resources
        self._clients = clients
        self._known: dict[str, tuple[str, str, CompiledMapping]] = {}
        self._reloads: SingleFlight[CompiledMapping] = SingleFlight(0.0, EVENT_LOOP.in_fetch_thread)

    def of(self, destination: Destination, *, refresh: bool = False) -> CompiledMapping:
        """Return the mapping compiled against the catalog.

        `refresh`: fetch the definitions now, as happens anyway where the catalog is missing or too old for the mapping.

        Raises: what `reload` raises.
        """
        found = None if refresh else self._r.catalogs.get(destination.id)
        if found is not None:
            with suppress(UsageError):  # the field may have been created since
                return self._compiled(destination, found)
        return EVENT_LOOP.run(self.reload(destination))

    async def reload(self, destination: Destination) -> CompiledMapping:
        """Return the mapping compiled against definitions fetched now; concurrent requests share one fetch.

        Raises: `DestinationBroken` when the mapping names something that does not exist; the `CallError` of a fetch;
          `AccountThrottled` without a fetch while the account is paused.
        """
        return await self._reloads.get(destination.id, destination.version, self._fetch, destination)

    def _fetch(self, destination: Destination) -> CompiledMapping:
        seconds = read_pace(self._r.redis, destination.account.key, destination.limits).wait_seconds
        if seconds:
            # its other lanes would each ask again meanwhile
            raise AccountThrottled(
                "The account is left alone for a while.", kind=Throttle.UNAVAILABLE, wait_seconds=seconds
            )
        found = catalogs.refresh(destination, self._clients.of(destination), self._r.catalogs, self._r.clock.now_ms())
        try:
            return self._compiled(destination, found)
        except UsageError as error:
            raise DestinationBroken(
                "; ".join(error.problems) or str(error),
                code="mapping_broken",
                remedy=f"Fix the mapping or create the field in Marketing Cloud; `activation check {destination.id}` "
                "names each; delivery goes on by itself then.",
            ) from error

    def _compiled(self, destination: Destination, catalog: Catalog) -> CompiledMapping:
        known = self._known.get(destination.id)
        if known is not None and known[:2] == (destination.version, catalog.version):
            return known[2]
        compiled = compile_mapping(destination, catalog)
        self._known[destination.id] = (destination.version, catalog.version, compiled)
        return compiled
