"""The attribute sets that a new tenant starts with.

Keys, names, types and lengths of Email Addresses, of Contact and of the first sixteen Email Demographics attributes
follow a recorded tenant; the others are invented to give every rule a case.
"""

from __future__ import annotations

from typing import Any

from app.sandbox.definitions import Attribute, AttributeSet, Catalogue

EMAIL_ADDRESSES = "Email Addresses"
EMAIL_ADDRESS = "Email Address"
HTML_ENABLED = "HTML Enabled"
EMAIL_DEMOGRAPHICS = "Email Demographics"
MOBILE_DEMOGRAPHICS = "MobileConnect Demographics"
ATTRIBUTES_PER_EXTRA_SET = 40


def seeded_catalogue(extra_attributes: int = 0) -> Catalogue:
    """Return the standard sets, with `extra_attributes` Text attributes in further sets before Email Demographics."""
    return Catalogue(
        [
            _email_addresses(),
            *_extra_sets(extra_attributes),
            _email_demographics(),
            _contact(),
            _mobile_demographics(),
            _mobile_subscriptions(),
        ]
    )


def _filled(one: AttributeSet, *attributes: Attribute) -> AttributeSet:
    for attribute in attributes:
        one.add(attribute)
    return one


def _system(one: AttributeSet, key: str, name: str, data_type: str, **facts: Any) -> Attribute:
    return Attribute(one.key, one.name, key, name, data_type, system=True, **facts)


def _email_addresses() -> AttributeSet:
    one = AttributeSet("EmailAddresses", EMAIL_ADDRESSES, read_only=True)
    key: dict[str, Any] = {"nullable": False, "primary_key": True}
    kept: dict[str, Any] = key | {"read_only": True, "hidden": True, "updateable": False}
    return _filled(
        one,
        _system(one, "ListID", "List ID", "Number", **kept),
        _system(one, "MemberID", "Member ID", "Number", storage_name="MemberID_", **kept),
        _system(one, "EmailAddress", EMAIL_ADDRESS, "EmailAddress", length=254, storage_name="EmailAddr_", **key),
        _system(one, "HTMLEnabled", HTML_ENABLED, "Boolean", nullable=False, storage_name="IsHTMLEnabled"),
    )


def _email_demographics() -> AttributeSet:
    one = AttributeSet("EmailDemographics", EMAIL_DEMOGRAPHICS, "EnterpriseAttributes", can_add_values=True)

    def text(name: str, length: int, *, key: str = "", storage_name: str = "") -> Attribute:
        return Attribute(
            one.key, one.name, key or name.replace(" ", ""), name, length=length, storage_name=storage_name or name
        )

    def typed(name: str, data_type: str) -> Attribute:
        return Attribute(one.key, one.name, name.replace(" ", ""), name, data_type)

    return _filled(
        one,
        _system(
            one,
            "ContactsID",
            "Contacts ID",
            "LongNumber",
            nullable=False,
            primary_key=True,
            updateable=False,
            storage_name="_SubscriberID",
        ),
        text("First Name", 100),
        text("Last Name", 100),
        text("Language", 50),
        text("Transaction Points", 256, key="Transaction Points1"),
        text("Market", 50),
        text("SFOrg", 50),
        text("Username", 255),
        text("Account Id", 50, key="Account Id"),
        # a renamed attribute of the recorded tenant: two attributes, one storage name
        text("AccountId", 50, storage_name="Account Id"),
        text("Preferred language", 50),
        *(text(f"Flex Parameter {number}", 100) for number in range(1, 5)),
        text("Contact Role", 100),
        typed("Loyalty Points", "Number"),
        typed("Lifetime Value", "Decimal"),
        typed("Newsletter", "Boolean"),
        typed("Birth Date", "Date"),
        Attribute(one.key, one.name, "Tier", "Tier", length=20, restricted_values=("gold", "silver", "bronze")),
        Attribute(one.key, one.name, "InternalNote", "Internal Note", length=254, hidden=True),
        Attribute(one.key, one.name, "CreatedBy", "Created By", length=100, read_only=True, updateable=False),
        text("short_segment", 50),
        *(text(f"salesforce_mc_segment_{number}", 254) for number in range(1, 6)),
    )


def _contact() -> AttributeSet:
    one = AttributeSet("Contact", "Contact", read_only=True)
    fixed: dict[str, Any] = {"nullable": False, "read_only": True, "updateable": False}
    return _filled(
        one,
        _system(one, "ContactID", "Contact ID", "Number", primary_key=True, **fixed),
        _system(one, "ContactKey", "Contact Key", "Text", length=-1, **fixed),
        _system(one, "BusinessUnitID", "Business Unit ID", "Number", primary_key=True, hidden=True, **fixed),
    )


def _mobile_demographics() -> AttributeSet:
    one = AttributeSet("MobileDemographics", MOBILE_DEMOGRAPHICS)
    return _filled(
        one,
        _system(
            one,
            "ContactID",
            "Contact ID",
            "LongNumber",
            nullable=False,
            primary_key=True,
            read_only=True,
            updateable=False,
        ),
        _system(one, "MobileNumber", "Mobile Number", "Phone", length=50, nullable=False),
        _system(one, "Locale", "Locale", "Locale", nullable=False),
        _system(one, "FirstName", "First Name", "Text", length=50),
        _system(one, "LastName", "Last Name", "Text", length=50),
    )


def _mobile_subscriptions() -> AttributeSet:
    one = AttributeSet("MobileSubscriptions", "MobileConnect Subscriptions")
    return _filled(
        one,
        _system(
            one,
            "SubscriptionDefinitionID",
            "Keyword",
            "Text",
            length=200,
            nullable=False,
            primary_key=True,
            updateable=False,
        ),
        _system(one, "MobileNumber", "Mobile Number", "Phone", length=50),
        _system(one, "OptInDate", "Opt In Date", "Date"),
    )


def _extra_sets(attributes: int) -> list[AttributeSet]:
    sets: list[AttributeSet] = []
    for first in range(1, attributes + 1, ATTRIBUTES_PER_EXTRA_SET):
        number = len(sets) + 1
        one = AttributeSet(f"ExtraSet{number}", f"Extra Set {number}", system=False)
        for own in range(first, min(first + ATTRIBUTES_PER_EXTRA_SET, attributes + 1)):
            one.add(Attribute(one.key, one.name, f"extra_{own}", f"extra_{own}", length=254))
        sets.append(one)
    return sets
