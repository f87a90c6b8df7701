"""What a role may do. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from app.errors import UsageError


class Role(StrEnum):
    """Each role may do everything that those before it may.

    `view` looks; `activate` enqueues, replays, pauses and resumes; `manage` connects, sees values, and manages users and
    keys.
    """

    VIEW = "view"
    ACTIVATE = "activate"
    MANAGE = "manage"

    def covers(self, other: Role) -> bool:
        order = list(Role)
        return order.index(self) >= order.index(other)


@dataclass(frozen=True, slots=True)
class Actor:
    """Who acts, as the audit names them: a user, `key NAME`, or `command line`."""

    name: str
    role: Role


def read_role(text: str) -> Role:
    """Read a role's name. Raises: `UsageError`."""
    try:
        return Role(text.strip().lower())
    except ValueError:
        raise UsageError(f"There is no role {text[:40]!r}.", remedy=f"Roles are {', '.join(Role)}.") from None
