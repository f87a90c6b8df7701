"""How many contacts in a row came to nothing, over all lanes of a process: a few of each lane tell as much as many of one. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field

LIFE_SECONDS = 600.0  # a call that came to nothing longer ago tells nothing of now


@dataclass(slots=True)
class _Row:
    """When the last call of each contact was made, by contact key; of one generation of the destination."""

    generation: str
    noted: dict[str, float] = field(default_factory=dict)


class Doubts:
    """Counts by destination. For coroutines of one event loop; times are of time.monotonic().

    `generation` changes when the destination is connected anew and when its state changes: what was seen before tells nothing.
    """

    def __init__(self) -> None:
        self._rows: dict[str, _Row] = {}

    def note(self, destination_id: str, generation: str, contact_key: str, now: float) -> int:
        """Note a call that came to nothing. Returns for how many contacts that is so since the last answer."""
        row = self._rows.get(destination_id)
        if row is None or row.generation != generation:
            row = self._rows[destination_id] = _Row(generation)
        row.noted = {key: at for key, at in row.noted.items() if now - at < LIFE_SECONDS} | {contact_key: now}
        return len(row.noted)

    def forget(self, destination_id: str) -> None:
        """A call was answered, or the destination is said to have failed."""
        self._rows.pop(destination_id, None)
