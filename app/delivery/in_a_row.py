"""How many contacts in a row met the same trouble, over all lanes of a process. Pure.

A few of each lane tell as much as many of one.
"""

from __future__ import annotations

from dataclasses import dataclass, field

LIFE_SECONDS = 600.0  # trouble longer ago tells nothing of now


@dataclass(slots=True)
class _Row:
    """When the last call of each contact was made, by contact key; of one generation of the destination."""

    generation: str
    noted: dict[str, float] = field(default_factory=dict)


class InARow:
    """Counts by destination. For coroutines of one event loop; times are of time.monotonic().

    `generation` changes when the destination is connected anew and when its state changes: what was seen before tells nothing.
    """

    def __init__(self) -> None:
        self._rows: dict[str, _Row] = {}

    def note(self, destination_id: str, generation: str, contact_key: str, now: float) -> int:
        """Note trouble with a contact. Returns with how many there was since it was last forgotten."""
        row = self._rows.get(destination_id)
        if row is None or row.generation != generation:
            row = self._rows[destination_id] = _Row(generation)
        row.noted = {key: at for key, at in row.noted.items() if now - at < LIFE_SECONDS} | {contact_key: now}
        return len(row.noted)

    def forget(self, destination_id: str) -> None:
        """A call met no such trouble, or the destination is said to have failed by it."""
        self._rows.pop(destination_id, None)
