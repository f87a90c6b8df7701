"""What is wrong with a mapping before any profile comes: fields that are not there, and what was probably meant. Pure."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING

from app.mapping.catalog import ADDRESSES, DEMOGRAPHICS, EMAIL_ADDRESS, HTML_ENABLED

if TYPE_CHECKING:
    from app.destinations.model import Destination
    from app.mapping.catalog import Attribute, Catalog

# AEP's guardrails, both of them soft
MANY_SEGMENTS = 250
MANY_ATTRIBUTES = 50
SHORTEST, LONGEST = 254, 4000  # of a Mapping ID's field, in the reference document


@dataclass(frozen=True, slots=True)
class Problem:
    """One finding: `level` is `error` (nothing can be delivered) or `warning`; `where` is its place in the file."""

    level: str
    where: str
    text: str
    remedy: str = ""


def find_problems(destination: Destination, catalog: Catalog | None) -> list[Problem]:
    """Every finding. Without a catalog, only what the file alone shows."""
    problems = [*_missing_rows(destination), *_form_of_mapping_ids(destination), *_doubles(destination)]
    if catalog is not None:
        problems += _targets(destination, catalog)
        problems += _mapping_ids(destination, catalog)
    if len(destination.segments) > MANY_SEGMENTS:
        problems.append(
            Problem(
                "warning", "segments", f"{len(destination.segments)} segments; more than {MANY_SEGMENTS} are a lot."
            )
        )
    if len(destination.mapping) > MANY_ATTRIBUTES:
        problems.append(
            Problem("warning", "mapping", f"{len(destination.mapping)} rows; more than {MANY_ATTRIBUTES} are a lot.")
        )
    return problems


def _missing_rows(destination: Destination) -> Iterator[Problem]:
    targets = [row.target for row in destination.mapping]
    if not any(target.kind == "contact_key" for target in targets):
        yield Problem(
            "error", "mapping", "No row gives the contact key.",
            'Add {source: "IdentityMap: contactKey", target: "Identity: salesforceContactKey"}.',
        )  # fmt: skip
    if not any(target.qualified == EMAIL_ADDRESS.qualified for target in targets):
        yield Problem(
            "error", "mapping", "No row gives the email address.",
            'Add {source: "xdm: personalEmail.address", target: "Attribute: Email Addresses.Email Address"}.',
        )  # fmt: skip


def _doubles(destination: Destination) -> Iterator[Problem]:
    counts = Counter(row.target.qualified for row in destination.mapping)
    for number, row in enumerate(destination.mapping):
        if counts[row.target.qualified] > 1:
            yield Problem("error", f"mapping[{number}].target", "Another row has the same target.", "Keep one of them.")
    mapped = {row.target.qualified for row in destination.mapping}
    for number, segment in enumerate(destination.segments):
        if f"{DEMOGRAPHICS}.{segment.mapping_id}" in mapped:
            yield Problem(
                "error", f"segments[{number}].mapping_id",
                f"{segment.mapping_id!r} is the target of a mapping row as well.", "Give the segment a field of its own.",
            )  # fmt: skip


def _form_of_mapping_ids(destination: Destination) -> Iterator[Problem]:
    for number, segment in enumerate(destination.segments):
        where, name = f"segments[{number}].mapping_id", segment.mapping_id
        if re.search(r"\s", name):
            yield Problem(
                "error", where, f"The Mapping ID {name!r} has whitespace in it.",
                "Name the field with underscores instead, and use that name.",
            )  # fmt: skip
        elif not re.match(r"[A-Za-z]", name):
            yield Problem(
                "error", where, f"The Mapping ID {name!r} does not start with a letter.",
                "Marketing Cloud's attribute names do; use the exact FIELD NAME.",
            )  # fmt: skip


def _targets(destination: Destination, catalog: Catalog) -> Iterator[Problem]:
    for number, row in enumerate(destination.mapping):
        target, where = row.target, f"mapping[{number}].target"
        if target.kind != "attribute":
            continue
        if target.set_name not in (DEMOGRAPHICS, ADDRESSES):
            likely = get_close_matches(target.set_name, (DEMOGRAPHICS, ADDRESSES), n=1)
            yield Problem(
                "error", where, f"Attributes of the set {target.set_name!r} cannot be written.",
                f"Did you mean {likely[0]!r}?" if likely else f"Only {DEMOGRAPHICS}, and {EMAIL_ADDRESS.qualified}, can.",
            )  # fmt: skip
            continue
        fixed = (EMAIL_ADDRESS.qualified, HTML_ENABLED.qualified)
        if target.set_name == ADDRESSES and target.qualified not in fixed:
            yield Problem(
                "error",
                where,
                f"{target.qualified!r} cannot be written.",
                f"Of {ADDRESSES}, only {' and '.join(fixed)} can.",
            )
            continue
        attribute = catalog.attributes.get(target.qualified)
        if attribute is None:
            own = [item for item in catalog.attributes.values() if item.set_name == target.set_name]
            yield Problem(
                "error", where, f"The account has no attribute {target.qualified!r}.", near_miss(target.attribute, own)
            )
        elif attribute.qualified not in fixed and (why := _not_writable(attribute)):
            yield Problem("error", where, f"{target.qualified!r} {why}.", "Choose another field: `activation fields`.")


def _mapping_ids(destination: Destination, catalog: Catalog) -> Iterator[Problem]:
    demographics = [item for item in catalog.attributes.values() if item.set_name == DEMOGRAPHICS]
    for number, segment in enumerate(destination.segments):
        where, name = f"segments[{number}].mapping_id", segment.mapping_id
        attribute = catalog.attributes.get(f"{DEMOGRAPHICS}.{name}")
        if attribute is None:
            yield Problem(
                "error", where, f"The Mapping ID {name!r} names no field of {DEMOGRAPHICS}.",
                near_miss(name, demographics)
                or f"Create it in Contact Builder: type Text, length {SHORTEST} to {LONGEST}, exactly this name.",
            )  # fmt: skip
            continue
        length = attribute.length if attribute.length is not None else -1
        if attribute.data_type != "Text" or not (length == -1 or SHORTEST <= length <= LONGEST):
            found = attribute.data_type + (f" of length {length}" if attribute.data_type == "Text" else "")
            yield Problem(
                "error", where, f"The field {name!r} is {found}.",
                f"A Mapping ID needs a field of type Text, length {SHORTEST} to {LONGEST}.",
            )  # fmt: skip
        elif why := _not_writable(attribute):
            yield Problem("error", where, f"The field {name!r} {why}.", "Choose another field: `activation fields`.")


def _not_writable(attribute: Attribute) -> str:
    if attribute.is_primary_key:
        return "is a key of its set and cannot be written"
    if attribute.is_read_only:
        return "is read-only"
    return "is hidden" if attribute.is_hidden else ""


def near_miss(name: str, attributes: Iterable[Attribute]) -> str:
    """Names must match exactly; the one that was probably meant: by case or space, by its key, or by likeness."""
    known = list(attributes)
    folded = re.sub(r"[\s_]+", "", name).casefold()
    for attribute in known:
        if re.sub(r"[\s_]+", "", attribute.name).casefold() == folded:
            return f"Did you mean {attribute.name!r}? Case and spaces count."
    for attribute in known:
        if attribute.key == name:
            return f"{name!r} is its key; use its name, {attribute.name!r}."
    likely = get_close_matches(name, [attribute.name for attribute in known], n=1)
    return f"Did you mean {likely[0]!r}?" if likely else ""
