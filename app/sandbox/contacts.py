"""The contacts of a tenant and the call that writes them (`PATCH` and `POST /contacts/v1/contacts`)."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from app.sandbox import codes, seed
from app.sandbox.answers import Refusal
from app.sandbox.definitions import Attribute, Catalogue
from app.sandbox.settings import TenantSettings
from app.sandbox.values import problem_with

FIRST_CONTACT_ID = 36270001
CHANNEL_SETS = frozenset({seed.EMAIL_ADDRESSES, seed.MOBILE_DEMOGRAPHICS})


@dataclass(slots=True)
class Contact:
    """One stored contact; `values` is keyed by `Set name.Attribute name` and holds each value as it was sent."""

    contact_id: int
    contact_key: str
    created: datetime
    values: dict[str, Any] = field(default_factory=dict)


class Contacts:
    """The stored contacts by key and by id."""

    __slots__ = ("_last_id", "by_id", "by_key")

    def __init__(self) -> None:
        self.by_key: dict[str, Contact] = {}
        self.by_id: dict[int, Contact] = {}
        self._last_id = FIRST_CONTACT_ID - 1

    def create(self, contact_key: str) -> Contact:
        """Store a contact without values."""
        self._last_id += 1
        contact = Contact(self._last_id, contact_key, datetime.now(UTC))
        self.by_key[contact_key] = self.by_id[contact.contact_id] = contact
        return contact

    def delete(self, contact_key: str) -> bool:
        """Forget a contact. Returns False if there was none."""
        contact = self.by_key.pop(contact_key, None)
        if contact is None:
            return False
        del self.by_id[contact.contact_id]
        return True


@dataclass(slots=True)
class Reading:
    """The result of checking a contact call's names and values: values to store, and what is wrong."""

    values: dict[str, Any] = field(default_factory=dict)
    problems: list[dict[str, str]] = field(default_factory=list)
    set_names: list[str] = field(default_factory=list)


def read_identity(document: Any, contacts: Contacts) -> tuple[str, Contact | None]:
    """Return the key that a call is for ('' if it gives only an unknown id) and the contact, if stored.

    Raises: `Refusal` with 400 if the message names no contact or names it with a wrong type.
    """
    if not isinstance(document, dict):
        raise Refusal(400, 10004, "The message is not a JSON object.")
    key = document.get("contactKey")
    if key is not None and not isinstance(key, str):
        raise Refusal(400, 10001, "contactKey must be a string.")
    if key:
        return key, contacts.by_key.get(key)
    given = document.get("contactID", document.get("contactId"))
    if given is None or given == "":
        raise Refusal(400, 10002, "contactKey or contactID is required.")
    if isinstance(given, bool) or not str(given).isdecimal():
        raise Refusal(400, 10001, "contactID must be a number.")
    contact = contacts.by_id.get(int(given))
    return (contact.contact_key if contact else ""), contact


def read_sets(document: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the attribute sets of a message, each in the documented form.

    Raises: `Refusal` with 400 if a member is missing (10002) or of a wrong type (10001).
    """
    sets = _required(document, "attributeSets", list)
    for one in sets:
        if not isinstance(one, dict):
            raise Refusal(400, 10001, "Each of attributeSets must be an object.")
        _required(one, "name", str)
        for item in _required(one, "items", list):
            if not isinstance(item, dict):
                raise Refusal(400, 10001, "Each of items must be an object.")
            for pair in _required(item, "values", list):
                if not isinstance(pair, dict):
                    raise Refusal(400, 10001, "Each of values must be an object.")
                if type(pair.get("name")) is not str:
                    _required(pair, "name", str)
                if "value" not in pair:
                    raise Refusal(400, 10002, "value is required.")
                if isinstance(pair["value"], list | dict):
                    raise Refusal(400, 10001, "value must be a string, a number or a boolean.")
    return sets  # type: ignore[no-any-return]


def _required(holder: dict[str, Any], name: str, kind: type) -> Any:
    value = holder.get(name)
    if value is None:
        raise Refusal(400, 10002, f"{name} is required.")
    if not isinstance(value, kind):
        raise Refusal(400, 10001, f"{name} has an invalid data type.")
    return value


def read_values(sets: list[dict[str, Any]], catalogue: Catalogue, settings: TenantSettings) -> Reading:
    """Check every name and value against the definitions. Of two values for one attribute the last counts."""
    reading = Reading()
    values, problems = reading.values, reading.problems
    fold_case = settings.name_matching == "case_insensitive"
    lenient = settings.unknown_attribute == "lenient"
    for one in sets:
        attribute_set = catalogue.named(one["name"], fold_case=fold_case)
        if attribute_set is None:
            problems.append(codes.explain(codes.ATTRIBUTE_SET_NOT_FOUND, one["name"]))
            continue
        if attribute_set.name in reading.set_names or len(one["items"]) > 1:
            problems.append(codes.explain(codes.DUPLICATE_ATTRIBUTE_SET, attribute_set.name))
            continue
        reading.set_names.append(attribute_set.name)
        by_name = attribute_set.by_name
        for item in one["items"]:
            for pair in item["values"]:
                name, value = pair["name"], pair["value"]
                attribute: Attribute | None = by_name.get(name)
                if attribute is None and fold_case:
                    attribute = attribute_set.by_folded_name.get(name.lower())
                if attribute is None:
                    if not lenient:
                        problems.append(codes.explain(codes.ATTRIBUTE_NOT_FOUND, f"{attribute_set.name}.{name}"))
                elif type(value) is str and value and len(value) <= attribute.plain_limit:
                    values[attribute.path] = value
                else:
                    code = problem_with(attribute, value, refuse_example_com=settings.refuse_example_com)
                    if code is None:
                        values[attribute.path] = value
                    else:
                        problems.append(codes.explain(code, attribute.path))
    return reading


def check_addresses(reading: Reading, *, is_new: bool, is_post: bool, settings: TenantSettings) -> None:
    """Add what is wrong with the addresses: a new contact with attribute sets needs one at which it can be reached.

    An empty `attributeSets` just creates the contact, as other connectors rely on. `HTML Enabled` is documented as
    compulsory only for POST.
    """
    names = reading.set_names
    bare = seed.EMAIL_DEMOGRAPHICS in names and seed.EMAIL_ADDRESSES not in names
    if settings.require_email_with_demographics and bare:
        reading.problems.append(codes.explain(codes.CHANNEL_ADDRESS_REQUIRED, seed.EMAIL_ADDRESSES))
    elif is_new and names:
        if CHANNEL_SETS.isdisjoint(names):
            reading.problems.append(codes.explain(codes.CHANNEL_ADDRESS_REQUIRED, seed.EMAIL_ADDRESSES))
        elif seed.EMAIL_ADDRESSES in names:
            required = (seed.EMAIL_ADDRESS, seed.HTML_ENABLED) if is_post else (seed.EMAIL_ADDRESS,)
            for name in required:
                path = f"{seed.EMAIL_ADDRESSES}.{name}"
                if path not in reading.values and not reading.problems:
                    reading.problems.append(codes.explain(codes.VALUE_REQUIRED, path))
