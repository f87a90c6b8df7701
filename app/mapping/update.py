"""The result of reading a profile: what it sets on a contact, or why it cannot be sent. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from app.mapping.values import Scalar


class Reason(StrEnum):
    """Why a profile is excluded."""

    MISSING_CONTACT_KEY = "missing_contact_key"
    AMBIGUOUS_CONTACT_KEY = "ambiguous_contact_key"
    MISSING_EMAIL = "missing_email"
    INVALID_VALUE = "invalid_value"
    MALFORMED_PROFILE = "malformed_profile"
    TOO_LARGE = "too_large"
    TOO_DEEP = "too_deep"
    CONSENT = "consent"
    NOTHING_MAPPED = "nothing_mapped"

    @property
    def remedy(self) -> str:
        return _REMEDIES[self]


_REMEDIES = {
    Reason.MISSING_CONTACT_KEY: "The profile has no id in the namespace that the contact key is mapped from; fix the sender.",
    Reason.AMBIGUOUS_CONTACT_KEY: "The profile has several ids in the namespace of the contact key; fix the sender, or set "
    "`options.several_identities`.",
    Reason.MISSING_EMAIL: "The contact is new and has no email address; map and send one.",
    Reason.INVALID_VALUE: "A value does not fit its attribute; fix the sender, or change the attribute in Marketing Cloud.",
    Reason.MALFORMED_PROFILE: "The profile does not have the form of XDM; fix the sender.",
    Reason.TOO_LARGE: "The profile is too large; send fewer attributes in it.",
    Reason.TOO_DEEP: "The profile is nested too deeply; send fewer levels of lists and objects in each other.",
    Reason.CONSENT: "The person has not consented; nothing is to be done.",
    Reason.NOTHING_MAPPED: "The profile has nothing that is mapped; map it, or send less.",
}


@dataclass(frozen=True, slots=True)
class Excluded:
    """An excluded profile. `detail` names the place in the mapping or the profile, never a value."""

    reason: Reason
    detail: str = ""


class Value(NamedTuple):
    """A value with the time at which it became true, in epoch milliseconds."""

    value: Scalar
    version_ms: int


class LeftOut(NamedTuple):
    """A value that cannot be written but does not hold up the others: where it would go, and why not. Never the value."""

    place: str
    why: str

    def __str__(self) -> str:
        return f"{self.place}: {self.why}"


@dataclass(frozen=True, slots=True)
class ContactUpdate:
    """What one profile sets: values by qualified name and, for the runs, statuses by segment id."""

    contact_key: str
    values: dict[str, Value]
    statuses: dict[str, str]
    left_out: tuple[LeftOut, ...] = ()
