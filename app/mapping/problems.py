"""Finds what is wrong with a mapping before any profile comes: missing fields, and which ones were probably meant. Pure."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from app.mapping.catalog import (
    ADDRESSES,
    ALWAYS_THERE,
    DEMOGRAPHICS,
    EMAIL_ADDRESS,
    LONGEST,
    SHORTEST,
    mapping_id_form,
    not_a_mapping_id,
    not_writable,
)
from app.mapping.paths import spell_target
from app.mapping.values import BadValue, checker
from app.names import fold, nearest

if TYPE_CHECKING:
    from app.destinations.model import Destination, MappingRow
    from app.mapping.catalog import Attribute, Catalog
    from app.mapping.values import Check

# AEP's guardrails, both soft
MANY_SEGMENTS = 250
MANY_ATTRIBUTES = 50


@dataclass(frozen=True, slots=True)
class Problem:
    """One finding. `level`: `error` (nothing can be delivered) or `warning`. `where`: its place in the file."""

    level: str
    where: str
    text: str
    remedy: str = ""


def has_error(problems: Iterable[Problem]) -> bool:
    """Return whether any problem prevents all delivery."""
    return any(problem.level == "error" for problem in problems)


def find_problems(destination: Destination, catalog: Catalog | None) -> list[Problem]:
    """Return every finding; without a catalog, only what the file alone shows."""
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
            "error",
            "mapping",
            "No row gives the contact key.",
            'Add {source: "IdentityMap: contactKey", target: "Identity: salesforceContactKey"}.',
        )
    if not any(target.qualified == EMAIL_ADDRESS.qualified for target in targets):
        yield Problem(
            "error",
            "mapping",
            "No row gives the email address.",
            'Add {source: "xdm: personalEmail.address", target: "Attribute: Email Addresses.Email Address"}.',
        )


def _doubles(destination: Destination) -> Iterator[Problem]:
    counts = Counter(row.target.qualified for row in destination.mapping)
    for number, row in enumerate(destination.mapping):
        if counts[row.target.qualified] > 1:
            yield Problem("error", f"mapping[{number}].target", "Another row has the same target.", "Keep one of them.")
    mapped = {row.target.qualified for row in destination.mapping}
    for number, segment in enumerate(destination.segments):
        if segment.qualified in mapped:
            yield Problem(
                "error",
                f"segments[{number}].mapping_id",
                f"{segment.mapping_id!r} is the target of a mapping row as well.",
                "Give the segment a field of its own.",
            )


def _form_of_mapping_ids(destination: Destination) -> Iterator[Problem]:
    for number, segment in enumerate(destination.segments):
        if found := mapping_id_form(segment.mapping_id):
            why, remedy = found
            yield Problem(
                "error", f"segments[{number}].mapping_id", f"The Mapping ID {segment.mapping_id!r} {why}.", remedy
            )


def _targets(destination: Destination, catalog: Catalog) -> Iterator[Problem]:
    for number, row in enumerate(destination.mapping):
        target, where = row.target, f"mapping[{number}].target"
        if target.kind != "attribute":
            continue
        if target.set_name not in (DEMOGRAPHICS, ADDRESSES):
            likely = nearest(target.set_name, (DEMOGRAPHICS, ADDRESSES))
            yield Problem(
                "error",
                where,
                f"Attributes of the set {target.set_name!r} cannot be written.",
                f"Did you mean {likely!r}?" if likely else f"Only {DEMOGRAPHICS}, and {EMAIL_ADDRESS.qualified}, can.",
            )
            continue
        if target.set_name == ADDRESSES and target.qualified not in ALWAYS_THERE:
            yield Problem(
                "error",
                where,
                f"{target.qualified!r} cannot be written.",
                f"Of {ADDRESSES}, only {' and '.join(ALWAYS_THERE)} can.",
            )
            continue
        attribute = catalog.attributes.get(target.qualified)
        if attribute is None:
            own = [item for item in catalog.attributes.values() if item.set_name == target.set_name]
            yield Problem(
                "error", where, f"The account has no attribute {target.qualified!r}.", near_miss(target.attribute, own)
            )
        elif attribute.qualified not in ALWAYS_THERE and (why := not_writable(attribute)):
            yield Problem("error", where, f"{target.qualified!r} {why}.", "Choose another field: `activation fields`.")
        else:
            yield from _constants(destination, number, row, attribute)


def _constants(destination: Destination, number: int, row: MappingRow, attribute: Attribute) -> Iterator[Problem]:
    """Check constants: whether they can be written is known before any profile comes."""
    check = _check_of(destination, attribute)
    for source in row.sources:
        if source.kind == "const" and row.transform is None:
            try:
                check(source.name)
            except BadValue as problem:
                yield Problem(
                    "error",
                    f"mapping[{number}].source",
                    f"The constant for {attribute.qualified!r} {problem}.",
                    f"The attribute is of type {attribute.data_type}: `activation fields {destination.id}`.",
                )


def _mapping_ids(destination: Destination, catalog: Catalog) -> Iterator[Problem]:
    demographics = [item for item in catalog.attributes.values() if item.set_name == DEMOGRAPHICS]
    for number, segment in enumerate(destination.segments):
        where, name = f"segments[{number}].mapping_id", segment.mapping_id
        attribute = catalog.attributes.get(segment.qualified)
        if attribute is None:
            yield Problem(
                "error",
                where,
                f"The Mapping ID {name!r} names no field of {DEMOGRAPHICS}.",
                near_miss(name, demographics)
                or f"Create it in Contact Builder: type Text, length {SHORTEST} to {LONGEST}, exactly this name.",
            )
            continue
        if found := not_a_mapping_id(attribute):
            why, remedy = found
            yield Problem("error", where, f"The field {name!r} {why}.", remedy)
            continue
        yield from _statuses(destination, where, attribute)


def _statuses(destination: Destination, where: str, attribute: Attribute) -> Iterator[Problem]:
    """Check the texts written for statuses: whether the field takes them is known before any profile comes."""
    check = _check_of(destination, attribute)
    for value in dict.fromkeys(destination.options.status_values.values()):
        try:
            check(value)
        except BadValue as problem:
            yield Problem(
                "warning",
                where,
                f"The field {attribute.name!r} does not take the status {value!r}, which is left out: it {problem}.",
                "Change the field in Contact Builder, or options.status_values.",
            )


def _check_of(destination: Destination, attribute: Attribute) -> Check:
    options = destination.options
    return checker(attribute, date_format=options.date_format, documented_characters=options.characters == "documented")


def near_miss(name: str, attributes: Iterable[Attribute]) -> str:
    """Suggest the attribute that was probably meant, by case or space, by its key, or by likeness; names must match exactly."""
    known = list(attributes)
    for attribute in known:
        if fold(attribute.name) == fold(name):
            return f"Did you mean {attribute.name!r}? Case and spaces count." + _quoted(attribute)
    for attribute in known:
        if attribute.key == name:
            return f"{name!r} is its key; use its name, {attribute.name!r}." + _quoted(attribute)
    likely = nearest(name, [attribute.name for attribute in known])
    # a name that differs only by a number belongs to a series: it is another audience's field
    if likely is None or _letters(likely) == _letters(name):
        return ""
    return f"Did you mean {likely!r}?"


def _letters(name: str) -> str:
    return re.sub(r"\d", "", fold(name))


def _quoted(attribute: Attribute) -> str:
    """Say how to write a name with spaces at its ends."""
    if attribute.name == attribute.name.strip():
        return ""
    return f" Write it in quotes: {spell_target(attribute.set_name, attribute.name)}"
