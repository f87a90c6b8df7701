"""Counts contacts in a row that met the same trouble, over all lanes of a process. Pure.

A few failures in each of several lanes say as much about the destination as many in one lane.
"""

from __future__ import annotations

from dataclasses import dataclass, field

LIFE_SECONDS = 600.0  # older trouble says nothing about now


@dataclass(slots=True)
class _Row:
    """When the last call of each contact was made, by contact key; of one generation of the destination."""

    generation: str
    noted: dict[str, float] = field(default_factory=dict)


class InARow:
    """Counts by destination. Use only from coroutines of one event loop; times are those of time.monotonic().

    `generation` changes when the destination is reconnected and when its state changes; earlier trouble then no longer counts.
    """

    def __init__(self) -> None:
        self._rows: dict[str, _Row] = {}

    def note(self, destination_id: str, generation: str, contact_key: str, now: float) -> int:
        """Note trouble with a contact. Returns how many contacts have met it since the count was last reset."""
        row = self._rows.get(destination_id)
        if row is None or row.generation != generation:
            row = self._rows[destination_id] = _Row(generation)
        row.noted = {key: at for key, at in row.noted.items() if now - at < LIFE_SECONDS} | {contact_key: now}
        return len(row.noted)

    def forget(self, destination_id: str) -> None:
        """Start over: a call met no such trouble, or the destination has been marked as failed."""
        self._rows.pop(destination_id, None)
