"""What is written in one step when entries leave their lane. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from app.lua import Word


class Moved(NamedTuple):
    """An entry that now belongs to another lane."""

    lane: int
    backfill: bool
    fields: Sequence[Word]


@dataclass(slots=True)
class Settlement:
    """Filled by the delivery, written by `app/lanes/settle.lua`."""

    live_ids: list[bytes] = field(default_factory=list)
    backfill_ids: list[bytes] = field(default_factory=list)
    delivered: dict[bytes, bytes] = field(default_factory=dict)
    parked: list[tuple[int, Sequence[Word]]] = field(default_factory=list)
    moved: list[Moved] = field(default_factory=list)
    failures: list[tuple[str, int, bytes]] = field(default_factory=list)
    run: dict[str, int] = field(default_factory=dict)
    jobs: dict[str, dict[str, int]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.live_ids) + len(self.backfill_ids)

    def __bool__(self) -> bool:
        return bool(len(self) or self.run or self.delivered)

    def count(self, counter: str, amount: int = 1) -> None:
        self.run[counter] = self.run.get(counter, 0) + amount

    def count_job(self, job_id: str, counter: str) -> None:
        if job_id:
            counters = self.jobs.setdefault(job_id, {})
            counters[counter] = counters.get(counter, 0) + 1

    def targets(self) -> list[tuple[int, bool]]:
        """Return the streams that receive entries of this lane, as (lane number, backfill)."""
        return sorted({(moved.lane, moved.backfill) for moved in self.moved})

    def arguments(self) -> list[Word]:
        """Return the script's arguments; the keys are those of `targets` and of `jobs`, each in its order."""
        targets = self.targets()
        place = {target: number for number, target in enumerate(targets, 1)}
        sections: list[Iterable[Sequence[Any]]] = [
            [(entry_id,) for entry_id in self.live_ids],
            [(entry_id,) for entry_id in self.backfill_ids],
            self.delivered.items(),
            [(due_ms, len(fields), *fields) for due_ms, fields in self.parked],
            [(place[lane, backfill], len(fields), *fields) for lane, backfill, fields in self.moved],
            self.failures,
            self.run.items(),
            *(counters.items() for counters in self.jobs.values()),
        ]
        words: list[Word] = [len(targets)]
        for section in sections:
            rows = list(section)
            words.append(len(rows))
            for row in rows:
                words.extend(row)
        return words
