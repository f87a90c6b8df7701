"""Paths to one value of a profile: `person.name.firstName`, `emails[0].address`, `props['a.b c']`. Pure.

Names are separated by dots. Positions in lists are in brackets, counted from 0. Names with unusual characters are in
brackets and quotes.
"""

from __future__ import annotations

import re
from typing import TypeAlias

Path: TypeAlias = tuple[str | int, ...]

_TOKEN = re.compile(
    r"""(?P<dot>\.?)(?P<name>[^.\[\]]+)|\[(?P<position>[0-9]{1,6})\]|\['(?P<single>[^']+)'\]|\["(?P<double>[^"]+)"\]"""
)
_NAME = re.compile(r"[\w$@:-]+")
_FUNCTION = re.compile(r"[(){}`|;=<>!+%^&\\]|\$\{")
# possessive, and at most two opening brackets before a closing one, so that matching stays linear
_WILDCARD = re.compile(r"[*?]|\.\.|\[(?![0-9]++\])[^'\"\[\]]*+(?:\[[^'\"\[\]]*+)?+\]")


def read_path(text: str) -> Path:
    """Return the steps of a path: names as text, positions as numbers. Raises: `ValueError` if it is no path."""
    return tuple(step for step, _ in _steps(text))


def _steps(text: str) -> list[tuple[str | int, bool]]:
    """Return each step, and whether it was quoted or a position."""
    found: list[tuple[str | int, bool]] = []
    at = 0
    while at < len(text):
        token = _TOKEN.match(text, at)
        # a dot comes between names and after brackets, never first; a name needs one unless it is first
        if token is None or (token["name"] is not None and bool(token["dot"]) is (at == 0)):
            raise ValueError("not a path")
        if token["name"] is not None:
            found.append((token["name"], False))
        elif token["position"] is not None:
            found.append((int(token["position"]), True))
        else:
            found.append((token["single"] or token["double"], True))
        at = token.end()
    if not found or isinstance(found[0][0], int):
        raise ValueError("not a path")
    return found


def spell(path: Path) -> str:
    """Write a path so that `read_path` returns the same steps."""
    spelt = ""
    for step in path:
        if isinstance(step, int):
            spelt += f"[{step}]"
        elif _NAME.fullmatch(step):
            spelt += f".{step}" if spelt else step
        else:
            spelt += f'["{step}"]' if "'" in step else f"['{step}']"
    return spelt


def spell_target(set_name: str, attribute: str) -> str:
    """Write an attribute as a mapping names it; a name with spaces at its ends is quoted, or they would be lost."""
    if attribute == attribute.strip():
        return f"Attribute: {set_name}.{attribute}"
    quote = '"' if "'" in attribute else "'"
    return f"Attribute: {set_name}[{quote}{attribute}{quote}]"


def why_not(text: str) -> str:
    """Return why a path can never lead to one value; '' if it can. The text is not quoted."""
    unquoted = re.sub(r"""\['[^']+'\]|\["[^"]+"\]""", "['']", text)
    if _FUNCTION.search(unquoted):
        return (
            "looks like a function or an expression, and none is carried out. Name the field alone; "
            "on the way only `transform: sha256` can be done."
        )
    if _WILDCARD.search(unquoted):
        return "can never match: positions are numbers from 0, such as emails[0].address, and there are no wildcards."
    if text.startswith("$"):
        return "begins with $. Write the path from the profile's top, without it."
    if "/" in unquoted:
        return "has slashes. Write dots between field names, or put a name that has slashes into quotes: props['a/b']."
    try:
        steps = _steps(text)
    except ValueError:
        return (
            "is no path to one value. Write field names with dots between them, such as person.name.firstName, "
            "emails[0].address or props['a.b c']."
        )
    if any(isinstance(step, str) and not quoted and not _NAME.fullmatch(step) for step, quoted in steps):
        return "has a field name with unusual characters. Put it into quotes: props['a b']."
    first = str(steps[0][0]).removeprefix("xdm:")
    if first == "identityMap":
        return 'can never match: identities stand in lists without an order. Write "IdentityMap: NAMESPACE".'
    if first == "segmentMembership" and len(steps) < len(("segmentMembership", "ups", "id", "status")):
        return "leads to an object. List the segment under `segments` instead."
    return ""
