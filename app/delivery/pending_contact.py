"""One contact in a session: what waits or is in flight for it, and what is next. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from app.lanes.merge import Merged

if TYPE_CHECKING:
    from app.delivery.plan import Group

NOTHING = Merged({}, {}, [], [], [], {}, {}, frozenset(), {})


@dataclass(slots=True)
class PendingContact:
    """What waits or is in flight for one contact.

    `group`: the entries of its next call; `merged`: that call, once planned. `post`: the contact is to be created. `apart`:
      entries of a refused call, each to be sent alone. `behind`: entries that came in meanwhile; they become one call when
      everything before them is done.
    """

    key: str
    tag: bytes
    group: Group
    merged: Merged = NOTHING
    post: bool = False
    apart: tuple[Group, ...] = ()
    behind: Group = field(default_factory=list)

    @property
    def backfill(self) -> bool:
        """Whether nothing live waits for the contact, whatever its next call carries."""
        return all(entry.backfill for group in (self.group, *self.apart, self.behind) for entry, _ in group)

    def rest(self, *, post: bool) -> PendingContact | None:
        """Return what follows once `group` is done; None if nothing. `post`: the contact still has to be created."""
        if self.apart:
            return replace(self, group=self.apart[0], apart=self.apart[1:], post=post)
        if self.behind:
            return replace(self, group=self.behind, behind=[], post=post)
        return None

    def with_behind(self) -> PendingContact:
        """Return the contact with its next call merged with what came in meanwhile."""
        return replace(self, group=[*self.group, *self.behind], behind=[])
