"""How to read what another build, older or newer, has written to Redis. Pure.

What merely informs is read as far as this build knows it (`known_fields`). What requests something, as a destination or
source does, is not carried out by half (`understood_fields`): an older worker that overlooked a consent rule would mail
people.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from app.errors import OtherBuild


def known_fields(cls: type[Any], document: Mapping[str, Any]) -> dict[str, Any]:
    """Return the members of a stored document that a dataclass can be made with; missing ones get the class's defaults."""
    return {item.name: document[item.name] for item in fields(cls) if item.init and item.name in document}


def understood_fields(cls: type[Any], document: Mapping[str, Any], whose: str) -> dict[str, Any]:
    """Do the same where nothing may be overlooked except what is empty or off. `whose`: names the document in the error.

    Raises: `OtherBuild`.
    """
    known = known_fields(cls, document)
    if unknown := sorted(name for name, value in document.items() if name not in known and value):
        raise OtherBuild(
            f"{whose} was written by a newer build and asks for what this one does not know: {', '.join(unknown)}.",
            remedy="End the upgrade: let all processes run the newest build.",
        )
    return known
