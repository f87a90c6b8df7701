"""What is kept in Redis may be written by another build, older or newer: how a reader takes it. Pure.

What tells something is read as far as this build knows it (`known_fields`). What asks for something, as a destination or a source
does, is not carried out by half (`understood_fields`): an older worker that overlooks a rule about consent would mail people.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from app.errors import OtherBuild


def known_fields(cls: type[Any], document: Mapping[str, Any]) -> dict[str, Any]:
    """The members of a stored document that a dataclass can be made with; what is missing has the default of the class."""
    return {item.name: document[item.name] for item in fields(cls) if item.init and item.name in document}


def understood_fields(cls: type[Any], document: Mapping[str, Any], whose: str) -> dict[str, Any]:
    """The same, where nothing may be overlooked but what is empty or off. Raises `OtherBuild`, which says `whose` document it is."""
    known = known_fields(cls, document)
    if unknown := sorted(name for name, value in document.items() if name not in known and value):
        raise OtherBuild(
            f"{whose} was written by a newer build and asks for what this one does not know: {', '.join(unknown)}.",
            remedy="End the upgrade: let all processes run the newest build.",
        )
    return known
