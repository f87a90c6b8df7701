"""Whose profile it is: several ids, several sources, and what is said when there is none."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.destinations.model import MappingRow, Source, Target
from app.mapping.contact_key import MOST_CONTACTS, ContactKeys, describe_namespaces, tell_namespaces
from app.mapping.update import Excluded, Reason
from tests.unit.mapping.campaign import KEY_ROW, destination


def keys(policy: Any = "exclude", row: MappingRow = KEY_ROW) -> ContactKeys:
    return ContactKeys(destination(key=row, several_identities=policy))


def with_ids(*ids: Any, namespace: str = "contactkey", **more: Any) -> dict[str, Any]:
    return {"identityMap": {namespace: [{"id": one} if isinstance(one, str) else one for one in ids]}, **more}


AMBIGUOUS = Excluded(
    Reason.AMBIGUOUS_CONTACT_KEY, "identityMap.contactKey has several ids, and not one that is primary"
)


@pytest.mark.parametrize(
    ("policy", "ids", "found"),
    [
        ("exclude", ["b"], ["b"]),
        ("exclude", ["b", "b"], ["b"]),
        ("exclude", ["b", "a"], AMBIGUOUS),
        ("exclude", ["b", {"id": "a", "primary": True}], ["a"]),
        ("exclude", [{"id": "b", "primary": True}, {"id": "a", "primary": True}], AMBIGUOUS),
        ("smallest", ["b", "a", "c"], ["a"]),
        ("smallest", ["b", "a", {"id": "c", "primary": True}], ["c"]),
        ("all", ["b", "a", "c", "a"], ["a", "b", "c"]),
        ("all", ["b", "a", {"id": "c", "primary": True}], ["c"]),
    ],
)
def test_several_ids(policy: str, ids: list[Any], found: list[str] | Excluded) -> None:
    split = keys(policy).split(with_ids(*ids))
    assert (split if isinstance(split, Excluded) else [key for key, _ in split]) == found


@given(st.lists(st.sampled_from("abcdef"), min_size=1, unique=True), st.randoms(use_true_random=False))
def test_no_order_of_ids_makes_another_contact(ids: list[str], dice: Any) -> None:
    mixed = list(ids)
    dice.shuffle(mixed)
    for policy in ("exclude", "smallest", "all"):
        first, second = keys(policy).split(with_ids(*ids)), keys(policy).split(with_ids(*mixed))
        assert first == second or [k for k, _ in first] == [k for k, _ in second]


def test_each_contact_of_all_has_a_profile_that_is_its_own_under_every_policy() -> None:
    profile = with_ids("b", "a", person={"name": "x"})
    split = keys("all").split(profile)
    assert isinstance(split, list)
    assert keys("all").count(profile) == len(split) == 2
    for policy in ("exclude", "smallest", "all"):
        assert [keys(policy).split(own) for _, own in split] == [[pair] for pair in split]
        assert [keys(policy).one(own) for _, own in split] == ["a", "b"]
    assert all(own["person"] == {"name": "x"} for _, own in split)


@pytest.mark.parametrize(
    ("policy", "ids", "count"),
    [
        ("exclude", "ab", 1),
        ("smallest", "ab", 1),
        ("all", "", 1),  # it is excluded, and told so
        ("all", "ab", 2),
        ("all", [f"c-{number}" for number in range(MOST_CONTACTS + 1)], MOST_CONTACTS),
    ],
)
def test_how_many_entries_a_profile_becomes_at_most(policy: str, ids: Sequence[str], count: int) -> None:
    assert keys(policy).count(with_ids(*ids)) == count


def test_who_has_one_id_is_taken_as_it_came() -> None:
    profile = with_ids("a")
    assert keys("all").split(profile) == [("a", profile)]


def test_of_several_sources_the_first_trouble_is_told_if_none_has_an_id() -> None:
    row = MappingRow(Source("xdm", "a.id"), Target("contact_key"), fallbacks=(Source("xdm", "b.id"),))
    assert keys(row=row).one({"a": 1, "b": 1}) == Excluded(Reason.MALFORMED_PROFILE, "a is not an object")
    assert keys(row=row).one({"a": 1, "b": {"id": "b"}}) == "b"
    assert keys(row=row).one({"a": 1}) == Excluded(Reason.MALFORMED_PROFILE, "a is not an object")


def test_only_of_a_missing_contact_key_the_namespaces_are_told() -> None:
    missing, ambiguous = Excluded(Reason.MISSING_CONTACT_KEY, "here"), Excluded(Reason.AMBIGUOUS_CONTACT_KEY, "here")
    other = with_ids("a", namespace="ecid")
    assert tell_namespaces(missing, other) == Excluded(missing.reason, "here; the profile has ecid")
    assert tell_namespaces(missing, {}) == missing
    assert tell_namespaces(ambiguous, other) == ambiguous


def test_one_profile_has_an_end_of_contacts() -> None:
    assert len(keys("all").split(with_ids(*(f"c-{number}" for number in range(MOST_CONTACTS))))) == MOST_CONTACTS
    many = with_ids(*(f"c-{number}" for number in range(MOST_CONTACTS + 1)))
    found = keys("all").split(many)
    assert isinstance(found, Excluded)
    assert found.reason is Reason.AMBIGUOUS_CONTACT_KEY
    assert keys("all").count(many) == MOST_CONTACTS


def test_hashing_comes_last() -> None:
    row = MappingRow(KEY_ROW.source, KEY_ROW.target, "sha256")
    assert keys("smallest", row).one(with_ids("b", "a")) == hashlib.sha256(b"a").hexdigest()


FALLBACK = MappingRow(
    Source("identity", "CRM"),
    Target("contact_key"),
    fallbacks=(Source("xdm", "crm.ids[0]"), Source("identity", "ECID")),
)


@pytest.mark.parametrize(
    ("profile", "found"),
    [
        (with_ids("e", namespace="ecid", crm={"ids": ["x"]}), "x"),
        (with_ids("e", namespace="ecid", crm={"ids": []}), "e"),
        (with_ids("e", namespace="ecid", crm={"ids": [" "]}), "e"),
        (with_ids("e", namespace="ecid", crm="text"), "e"),
        ({"identityMap": {"ecid": [{"id": "e"}], "crm": [{"id": "c"}]}}, "c"),
        ({"crm": "text"}, Excluded(Reason.MALFORMED_PROFILE, "crm is not an object")),
        ({}, Excluded(Reason.MISSING_CONTACT_KEY, "identityMap.CRM or crm.ids[0] or identityMap.ECID")),
    ],
)
def test_fallbacks(profile: dict[str, Any], found: Any) -> None:
    assert keys(row=FALLBACK).one(profile) == found


@pytest.mark.parametrize(
    ("names", "said"),
    [
        ([], ""),
        (["ECID", "email_lc_sha256"], "the profile has ecid, email_lc_sha256"),
        (["ECID", "ecid"], "the profile has ecid"),
        (["ann@mail.test"], "the profile has what is no namespace's name"),
        (["ecid", "+49 30 1234", "4930123456"], "the profile has ecid and what is no namespace's name"),
        (["a" * 33, "c1001", "ann.lee"], "the profile has what is no namespace's name"),
        ([f"{one}{other}" for one in "abc" for other in "xyz"], "the profile has ax, ay, az, bx, by and more"),
    ],
)
def test_namespaces_are_named_and_what_is_none_is_not(names: list[str], said: str) -> None:
    assert describe_namespaces({"identityMap": {name: [{"id": "secret"}] for name in names}}) == said


@given(st.dictionaries(st.text() | st.emails(), st.just([{"id": "x"}]), max_size=9))
def test_whatever_stands_as_a_name_is_bounded_and_harmless(identity_map: dict[str, Any]) -> None:
    said = describe_namespaces({"identityMap": identity_map})
    assert re.fullmatch(r"[a-z0-9_,' ]{0,250}", said)
    assert not re.search(r"[0-9].*[0-9].*[0-9].*[0-9]", said) or "," in said


@pytest.mark.parametrize("profile", [None, [], {"identityMap": "x"}, {"identityMap": []}, {"identityMap": {"a": None}}])
def test_a_profile_without_an_identity_map(profile: Any) -> None:
    assert describe_namespaces(profile) == ""
